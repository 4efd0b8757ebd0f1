// SPDX-License-Identifier: GPL-2.0-only
/**
 * A hostile guest: addresses, lengths, pointers and timing as it likes. Nothing may be written outside the record
 * or the guest's own memory (the rings and the scratch buffer are allocations of their exact size: run this under
 * AddressSanitizer), and the record ring stays well formed (FakeGuest::take checks).
 */
#include "fixture.h"
#include "seed.h"

namespace tripod::test {
namespace {

constexpr Va user_top = 1ULL << 47;
constexpr Va xen_range = 0xffff800000000000;

class HostileTest : public HypervisorTest {
  protected:
    HostileTest() { follow(TRIPOD_MODE_trace); }

    /** Where nothing may be read or written. */
    const std::vector<Va> evil_addresses = {xen_range,
                                            xen_range + 0x100000,
                                            0xffff87ffffffffff,
                                            user_top,
                                            user_top + 8,
                                            0x8000000000000000,
                                            0xffff7fffffffffff,
                                            UINT64_MAX,
                                            UINT64_MAX - 7,
                                            0xffffffff81000000,
                                            1,
                                            user_top - 1};

    const Va buffer = guest.allocate(0x20000);
    const std::uint64_t s = fd(sock);
};

TEST_F(HostileTest, AddressesThatAreNotTheUsers) {
    guest.user.put(buffer, std::uint32_t{16});
    for (const Va evil : evil_addresses) {
        const struct {
            unsigned nr;
            std::array<std::uint64_t, 6> args;
            std::int64_t result;
        } calls[] = {
            {nr_read, {s, evil, 100}, 50},
            {nr_readv, {s, evil, 2}, 50},
            {nr_write, {s, evil, 100}, 50},
            {nr_writev, {s, evil, 2}, 50},
            {nr_sendmsg, {s, evil, 0}, 50},
            {nr_recvmsg, {s, evil, 0}, 50},
            {nr_accept, {s, evil, buffer}, 9},
            {nr_accept, {s, buffer, evil}, 9},
            {nr_poll, {evil, 4, 0}, 1},
            {nr_select, {64, evil, evil, evil, evil}, 1},
            {nr_epoll_wait, {5, evil, 4, 0}, 4},
            {nr_clock_gettime, {1, evil}, 0},
            {nr_getrandom, {evil, 16, 0}, 16},
            {nr_getsockopt, {s, 1, 4, evil, evil}, 0},
            {nr_recvfrom, {s, evil, 100, 0, evil, evil}, 50},
        };
        for (const auto& call : calls) {
            FakeGuest::call(thread, call.nr, call.args);
            // A kernel that lies: the call succeeded.
            EXPECT_EQ(guest.run(thread, returning(call.result)), Step::killed)
                << "call " << call.nr << " at " << evil;
            ASSERT_TRUE(guest.fault.has_value());
            EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
            EXPECT_TRUE(guest.take().empty()) << "call " << call.nr << " at " << evil;
            guest.forget_pending();
        }
    }
    EXPECT_GT(guest.refused_addresses, 0U);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(HostileTest, FaultAddressOfARangeThatLeavesTheUsersHalf) {
    guest.user.map(user_top - PAGE_SIZE, PAGE_SIZE);
    FakeGuest::call(thread, nr_read, {s, user_top - 16, 100});
    EXPECT_EQ(guest.run(thread, returning(100)), Step::killed);
    EXPECT_EQ(guest.fault->address, user_top);
}

TEST_F(HostileTest, VectorsWithAbsurdLengthsAndCounts) {
    const Va iov = guest.allocate(PAGE_SIZE);
    for (unsigned i = 0; i < PAGE_SIZE / 16; ++i) {
        guest.user.put(iov + i * 16, buffer);
        guest.user.put(iov + i * 16 + 8, i == 0 ? std::uint64_t{8} : UINT64_MAX);
    }
    for (const std::uint64_t count : {std::uint64_t{2}, std::uint64_t{1} << 32, UINT64_MAX}) {
        EXPECT_EQ(guest.make(thread, nr_readv, {s, iov, count}, returning(64)), Step::native);
        const auto records = guest.take();
        ASSERT_EQ(records.size(), 1U);
        EXPECT_EQ(records[0].segments().at(0).bytes.size(), 64U);
    }
    // An output gathers what is there: the scratch buffer is full long before the second element's end.
    guest.user.put(iov + 8, std::uint64_t{0x10000});
    EXPECT_EQ(guest.make(thread, nr_writev, {s, iov, 2}, returning(64)), Step::native);
    EXPECT_EQ(guest.take().at(0).head().length, 0xffffU); // 0x10000 - 1: the sum wraps, on all replicas alike
    // 1024 elements at the most, as Linux has it.
    EXPECT_EQ(guest.make(thread, nr_writev, {s, iov, UINT64_MAX}, returning(64)), Step::killed)
        << "it leaves the array";
}

TEST_F(HostileTest, SocketLengthsHugeOrNegative) {
    for (const std::uint32_t capacity : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        const Va length = guest.allocate_with(capacity);
        EXPECT_EQ(guest.make(thread, nr_getsockopt, {s, 1, 4, buffer, length}, returning(0)), Step::native);
        EXPECT_EQ(guest.make(thread, nr_accept, {s, buffer, length, 0}, returning(9)), Step::native);
        const auto records = guest.take();
        ASSERT_EQ(records.size(), 2U);
        for (const Record& record : records)
            EXPECT_EQ(record.segments().at(0).bytes.size(), std::min(capacity, TRIPOD_PAYLOAD_MAX / 2));
    }
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(HostileTest, CountsThatOverflow) {
    const struct {
        unsigned nr;
        std::array<std::uint64_t, 6> args;
        std::int64_t result;
    } calls[] = {
        {nr_poll, {buffer, 0xffffffff, 0}, 1},
        {nr_poll, {buffer, TRIPOD_PAYLOAD_MAX / 8 + 1, 0}, 1},
        {nr_select, {0x7fffffff, buffer, buffer, buffer, 0}, 1},
        {nr_epoll_wait, {5, buffer, 0x7fffffff, 0}, 0x7fffffff},
        {nr_epoll_wait,
         {5, buffer, UINT64_MAX, 0},
         0x1555555555555556 + 0x4000}, // times 12 wraps to something large
        {nr_readv, {s, buffer, 1}, INT64_MAX},
        {nr_recvmsg, {s, buffer, 0}, INT64_MAX},
        {nr_getrandom, {buffer, UINT64_MAX, 0}, INT64_MAX},
    };
    for (const auto& call : calls) {
        follow(TRIPOD_MODE_trace);
        EXPECT_EQ(guest.make(thread, call.nr, call.args, returning(call.result)), Step::native) << call.nr;
        EXPECT_TRUE(guest.take().empty());
        EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_large) << call.nr;
        EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
    }
    follow(TRIPOD_MODE_trace);
    for (const std::uint64_t negative : {std::uint64_t{0x80000000}, UINT64_MAX}) {
        EXPECT_EQ(guest.make(thread, nr_select, {negative, buffer, buffer, buffer, 0}, returning(0)), Step::native);
        EXPECT_TRUE(guest.take().at(0).segments().empty());
    }
    const std::int64_t wraps = 0x1555555555555556; // times 12: 8
    EXPECT_EQ(guest.make(thread, nr_epoll_wait, {5, buffer, UINT64_MAX, 0}, returning(wraps)), Step::native);
    guest.take();
}

TEST_F(HostileTest, LengthsThatChangeBetweenTwoReads) {
    // The capacity read at entry bounds the record, whatever the length says at the return.
    const Va length = guest.allocate_with(std::uint32_t{16});
    EXPECT_EQ(guest.make(thread, nr_getsockopt, {s, 1, 4, buffer, length},
                         [&](cpu_user_regs&) {
                             guest.user.put(length, std::uint32_t{0xfffffff0});
                             return std::int64_t{0};
                         }),
              Step::native);
    EXPECT_EQ(guest.take().at(0).segments().at(0).bytes.size(), 16U);

    // A vector whose elements grow while it is read.
    const Va iov = guest.allocate(64);
    for (unsigned i = 0; i < 4; ++i) {
        guest.user.put(iov + i * 16, buffer);
        guest.user.put(iov + i * 16 + 8, std::uint64_t{4});
    }
    guest.user.after_read = [&](Va, std::uint32_t) {
        for (unsigned i = 0; i < 4; ++i)
            guest.user.put(iov + i * 16 + 8, UINT64_MAX);
    };
    EXPECT_EQ(guest.make(thread, nr_readv, {s, iov, 4}, returning(16)), Step::native);
    EXPECT_EQ(guest.take().at(0).segments().at(0).bytes.size(), 16U);
    EXPECT_EQ(guest.make(thread, nr_writev, {s, iov, 2}, returning(16)), Step::native);
    guest.user.after_read = nullptr;
}

TEST_F(HostileTest, MessageHeaderWithAbsurdLengths) {
    const Va header = guest.allocate(64);
    const auto receive = [&](std::uint32_t namelen, std::uint64_t iovlen, std::uint64_t controllen) {
        follow(TRIPOD_MODE_trace);
        const Va iov = guest.allocate(16);
        guest.user.put(iov, buffer);
        guest.user.put(iov + 8, UINT64_MAX);
        guest.user.put(header, std::array<std::uint64_t, 7>{buffer, 128, iov, iovlen, buffer, controllen, 0});
        guest.make(thread, nr_recvmsg, {s, header, 0}, [&](cpu_user_regs&) {
            guest.user.put(header + 8, namelen);
            return std::int64_t{100};
        });
        return guest.take().size();
    };
    EXPECT_EQ(receive(128, 1, 4096), 1U);
    EXPECT_EQ(receive(128, UINT64_MAX, 4096), 1U);
    EXPECT_EQ(receive(129, 1, 0), 0U);
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_large);
    EXPECT_EQ(receive(0xffffffff, 1, 0), 0U);
    EXPECT_EQ(receive(0, 1, 4097), 0U);
    EXPECT_EQ(receive(0, 1, UINT64_MAX), 0U);
}

TEST_F(HostileTest, DescriptorTableWithAbsurdSize) {
    const tripod_profile p = FakeKernel::profile();
    guest.kernel.memory.put(process.fdt + p.fdt_max_fds, 0xffffffffU);
    for (const std::uint64_t number :
         {std::uint64_t{5000}, std::uint64_t{0x7fffffff}, std::uint64_t{0x80000000}, UINT64_MAX})
        EXPECT_EQ(guest.make(thread, nr_read, {number, buffer, 10}, returning(1)), Step::native);
    EXPECT_TRUE(guest.take().empty());
    // A new look at the process ends too.
    guest.set_mode(TRIPOD_MODE_trace);
    EXPECT_EQ(guest.make(thread, nr_read, {s, buffer, 10}, giving("x")), Step::native);
    EXPECT_EQ(guest.take().size(), 2U);
}

TEST_F(HostileTest, KernelPointersThatLeadNowhere) {
    const tripod_profile p = FakeKernel::profile();
    const Va file = guest.kernel.file(process, sock);
    const std::vector<Va> places = {process.files + p.files_fdt,
                                    process.fdt + p.fdt_fd,
                                    process.array + s * 8,
                                    file + p.file_inode,
                                    file + p.file_private,
                                    thread.task + p.task_files,
                                    FakeKernel::gs_base + p.current_task};
    for (const Va place : places) {
        const auto good = guest.kernel.memory.get<Va>(place);
        std::vector<Va> pointers = evil_addresses;
        pointers.push_back(place); // a loop
        pointers.push_back(0);
        pointers.push_back(0xffffffffffffffff - p.sk_type);
        for (const Va evil : pointers) {
            guest.kernel.memory.put(place, evil);
            // Not step(): that would repair current_task.
            FakeGuest::call(thread, nr_read, {s, buffer, 10}, FakeGuest::syscall_site + 2);
            guest.current_kernel_sp = thread.kernel_sp;
            EXPECT_FALSE(tripod_syscall_entry(&thread.regs));
            guest.kernel.memory.put(place, good);
            thread.regs.rax = static_cast<std::uint64_t>(e_again);
            guest.iret(thread);
            for (const Record& record : guest.take())
                EXPECT_NE(record.head().fd, sock) << "taken for a socket by way of " << evil;
        }
    }
    EXPECT_EQ(guest->pending_count, 0U);
    EXPECT_EQ(guest.make(thread, nr_read, {s, buffer, 10}, giving("fine")), Step::native);
    EXPECT_FALSE(guest.take().empty());
}

/** Random calls with arguments, results and kernel pointers of ill will. */
class HostileFuzz {
  public:
    explicit HostileFuzz(std::uint64_t seed) : random_(seed) {
        memory_ = guest_.allocate(64 * PAGE_SIZE);
        for (Va at = memory_; at < memory_ + 64 * PAGE_SIZE; at += 8)
            guest_.user.put(at, word());
        for (int i = 0; i < 6; ++i)
            guest_.kernel.open_socket(process_);
        guest_.kernel.open_procfs(process_);
        threads_ = {guest_.add_thread(process_, 10), guest_.add_thread(process_, 11),
                    guest_.add_thread(guest_.add_process(20), 20)};
        guest_.user.after_read = [this](Va, std::uint32_t) {
            if (random_.one_in(4))
                guest_.user.put(memory_ + random_.below(64 * PAGE_SIZE / 8) * 8, word());
        };
    }

    void record() {
        static constexpr tripod_mode modes[] = {TRIPOD_MODE_record, TRIPOD_MODE_trace};
        guest_.set_mode(modes[random_.below(2)]);
        for (int i = 0; i < 200; ++i) {
            step();
            if (random_.one_in(8)) {
                const auto records = guest_.take();
                for (const Record& record : records)
                    EXPECT_LE(record.bytes.size(), sizeof(tripod_record) + TRIPOD_PAYLOAD_MAX + 8192 + 64);
                log_.insert(log_.end(), records.begin(), records.end());
                guest_.control().gate_full = random_.one_in(4) ? 1 : 0;
                guest_.kick();
            }
            if (guest_->mode == TRIPOD_MODE_off)
                guest_.set_mode(TRIPOD_MODE_trace);
        }
    }

    /** What was recorded, and spoiled a little, to guests that ask for something else. */
    void replay() {
        for (Record& record : log_) {
            guest_.set_mode(TRIPOD_MODE_replay);
            tripod_record head = record.head();
            head.seq = 1;
            if (random_.one_in(3))
                head.segments = static_cast<std::uint16_t>(random_.bits());
            record.set_head(head);
            if (record.bytes.size() > sizeof head && random_.one_in(2))
                record.bytes[sizeof head +
                             random_.below(std::min<std::size_t>(record.bytes.size() - sizeof head, 64))] =
                    static_cast<std::uint8_t>(random_.bits());
            guest_.feed(record);
            Thread& thread = threads_[random_.below(threads_.size())];
            head.tid = thread.tid;
            *reinterpret_cast<tripod_record*>(guest_->replay) = head;
            step_with(thread, head.nr);
        }
    }

  private:
    std::uint64_t word() {
        static constexpr std::uint64_t evil[] = {0,          1,          8,          16,         127,
                                                 128,        129,        4096,       65535,      65536,
                                                 65537,      73728,      0x7fffffff, 0x80000000, 0xffffffff,
                                                 1ULL << 32, 1ULL << 47, xen_range,  UINT64_MAX, UINT64_MAX - 7,
                                                 INT64_MAX};
        switch (random_.below(4)) {
        case 0:
            return evil[random_.below(std::size(evil))];
        case 1:
            return random_.below(100);
        default:
            return memory_ + random_.below(64 * PAGE_SIZE);
        }
    }
    std::int64_t result(const cpu_user_regs& regs) {
        switch (random_.below(4)) {
        case 0:
            return static_cast<std::int64_t>(word());
        case 1:
            return -static_cast<std::int64_t>(random_.below(150));
        default:
            return static_cast<std::int64_t>(random_.below(regs.rdx % 70000 + 1));
        }
    }
    void step() {
        static constexpr unsigned numbers[] = {0,  1,   3,   7,   17,  19,  20,  23,  40,  41, 42,
                                               43, 44,  45,  46,  47,  48,  51,  52,  55,  96, 98,
                                               99, 100, 201, 228, 232, 270, 271, 281, 288, 318};
        Thread& thread = threads_[random_.below(threads_.size())];
        step_with(thread, random_.one_in(10) ? static_cast<unsigned>(random_.below(450))
                                             : numbers[random_.below(std::size(numbers))]);
    }
    void step_with(Thread& thread, unsigned nr) {
        std::array<std::uint64_t, 6> args{};
        for (std::uint64_t& arg : args)
            arg = word();
        if (!random_.one_in(4))
            args[0] = random_.below(8);
        const Va place = spoil_kernel();
        if (random_.one_in(4))
            guest_.user.page(memory_ + random_.below(64) * PAGE_SIZE).present = false;
        FakeGuest::call(thread, nr, args);
        thread.regs.rsp = 0x7ffe00000000 + random_.below(4) * 64;
        guest_.seen.clear();
        for (int tries = 0; tries < 80; ++tries) {
            const Step now_at = guest_.step(thread, [&](cpu_user_regs& regs) { return result(regs); });
            if (now_at != Step::faulted && now_at != Step::again && now_at != Step::yielded)
                break;
        }
        if (place != 0)
            guest_.kernel.memory.put(place, spoiled_);
    }
    /** Overwrites a pointer of the kernel's; returns where, or 0. */
    Va spoil_kernel() {
        if (!random_.one_in(6))
            return 0;
        const tripod_profile p = FakeKernel::profile();
        const Va file = guest_.kernel.file(process_, static_cast<int>(random_.below(6)));
        const Va places[] = {process_.files + p.files_fdt, process_.fdt + p.fdt_fd, file + p.file_inode,
                             file + p.file_private, threads_[0].task + p.task_files};
        const Va place = places[random_.below(std::size(places))];
        spoiled_ = guest_.kernel.memory.get<Va>(place);
        guest_.kernel.memory.put(place, random_.one_in(2) ? word() : spoiled_ + random_.below(4096) - 2048);
        return place;
    }

    Random random_;
    FakeGuest guest_;
    Process process_ = guest_.add_process(10);
    std::vector<Thread> threads_;
    std::vector<Record> log_;
    Va memory_ = 0;
    Va spoiled_ = 0;
};

TEST(HostileFuzzTest, RandomCallsLeaveTheRingsWhole) {
    for_seeds(60, [](std::uint64_t seed) {
        HostileFuzz fuzz(seed);
        fuzz.record();
        fuzz.replay();
    });
}

} // namespace
} // namespace tripod::test
