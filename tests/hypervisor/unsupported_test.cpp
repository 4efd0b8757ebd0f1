// SPDX-License-Identifier: GPL-2.0-only
/** What cannot be logged ends the protection, whoever does it and however it came by its sockets; io_uring is
 * refused. */
#include "fixture.h"

namespace tripod::test {
namespace {

constexpr std::uint64_t x32 = 0x40000000;
constexpr unsigned nr_sendfile = 40, nr_io_submit = 209, nr_splice = 275, nr_recvmmsg = 299, nr_uring_setup = 425,
                   nr_uring_enter = 426, nr_uring_register = 427;

class UnsupportedTest : public HypervisorTest {
  protected:
    UnsupportedTest() { follow(); }

    void compat(Thread& who, std::uint64_t nr) {
        guest.kernel.run(who.task);
        guest.current_kernel_sp = who.kernel_sp;
        regs = {};
        regs.rax = nr;
        regs.rip = FakeGuest::syscall_site + 2;
        EXPECT_FALSE((nr & x32) != 0 ? tripod_syscall_entry(&regs) : tripod_syscall_entry32(&regs));
    }
    void expect_broken(unsigned what, unsigned nr) {
        EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_guest);
        EXPECT_EQ(guest->divergence.found, what);
        EXPECT_EQ(guest->divergence.nr, nr);
        EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
        EXPECT_EQ(guest.control().unfit, TRIPOD_REASON_guest);
        EXPECT_GE(guest.notified, 1U);
        guest.notified = 0;
        follow();
    }
    void expect_fine() { EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none); }

    cpu_user_regs regs{};
    Process plain = guest.add_process(300);
    Thread other = guest.add_thread(plain, 300);
    const Va buffer = guest.allocate(4096);
    const std::uint64_t s = fd(sock);
};

TEST_F(UnsupportedTest, CompatCallsOfWhoeverHoldsASocket) {
    for (const std::uint64_t nr : {std::uint64_t{4}, x32 | 1}) {
        const auto number = static_cast<unsigned>(nr & ~x32);
        compat(thread, nr);
        expect_broken(TRIPOD_GUEST_compat_call, number);
        compat(other, nr);
        expect_fine();
        // Never looked at before, or looked at before it got one.
        for (const bool known : {false, true}) {
            if (known)
                guest.make(other, nr_clock_gettime, {1, buffer}, returning(0));
            const int got = guest.kernel.open_socket(plain);
            compat(other, nr);
            expect_broken(TRIPOD_GUEST_compat_call, number);
            guest.kernel.close(plain, got);
        }
        guest.set_mode(TRIPOD_MODE_replay);
        compat(thread, nr);
        EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_compat_call);
        follow();
    }
}

TEST_F(UnsupportedTest, NumbersThatOnlyLookLikeX32) {
    for (const std::uint64_t nr : {UINT64_MAX, std::uint64_t{0xffffffff}, x32 + 1024, x32 << 1}) {
        guest.make(thread, static_cast<unsigned>(nr), {}, returning(e_nosys));
        expect_fine();
    }
}

TEST_F(UnsupportedTest, CompatCallDropsTheCallThatWasLeft) {
    FakeGuest::call(thread, nr_read, {s, buffer, 10});
    guest.step(thread, [&](cpu_user_regs&) {
        EXPECT_EQ(guest->pending_count, 1U);
        guest.current_kernel_sp = thread.kernel_sp;
        cpu_user_regs entry = thread.regs;
        entry.rax = 4;
        tripod_syscall_entry32(&entry);
        EXPECT_EQ(guest->pending_count, 0U);
        return std::int64_t{0};
    });
}

TEST_F(UnsupportedTest, IoUringIsRefusedForEveryProcess) {
    for (const auto mode : {TRIPOD_MODE_record, TRIPOD_MODE_trace, TRIPOD_MODE_replay, TRIPOD_MODE_hold}) {
        guest.set_mode(mode);
        for (Thread* who : {&thread, &other}) {
            EXPECT_EQ(guest.make(*who, nr_uring_setup, {8, buffer}, never), Step::answered);
            EXPECT_EQ(static_cast<std::int64_t>(who->regs.rax), e_nosys);
        }
        // The guest kernel knows no such number.
        compat(other, nr_uring_setup);
        EXPECT_EQ(regs.rax, 1023U);
        compat(other, x32 | nr_uring_setup);
        EXPECT_EQ(regs.rax, x32 | 1023);
        expect_fine();
    }
    for (const auto mode : {TRIPOD_MODE_off, TRIPOD_MODE_live}) {
        if (mode == TRIPOD_MODE_live)
            guest.set_mode(TRIPOD_MODE_replay);
        guest.set_mode(mode);
        EXPECT_EQ(guest.make(other, nr_uring_setup, {8, buffer}, returning(9)), Step::native);
    }
}

TEST_F(UnsupportedTest, RingsOlderThanTheProtection) {
    for (const unsigned nr : {nr_uring_enter, nr_uring_register}) {
        EXPECT_EQ(guest.make(other, nr, {5, 1, 1}, returning(1)), Step::native);
        expect_fine();
        EXPECT_EQ(guest.make(thread, nr, {5, 1, 1}, returning(1)), Step::native);
        expect_broken(TRIPOD_GUEST_unsupported, nr);
    }
}

TEST_F(UnsupportedTest, AsynchronousIoOnASocket) {
    const Va list = guest.allocate(1024 * 8 + 8), blocks = guest.allocate(4 * 64);
    const auto submit = [&](Thread& who, std::uint64_t count, int last) {
        for (unsigned i = 0; i < 4; ++i) {
            guest.user.put(list + i * 8, blocks + i * 64);
            guest.user.put(blocks + i * 64 + 20, i == 3 ? last : 0);
        }
        FakeGuest::call(who, nr_io_submit, {77, count, list});
        return guest.run(who, returning(1));
    };
    EXPECT_EQ(submit(thread, 4, 1), Step::native);
    EXPECT_EQ(submit(thread, 3, sock), Step::native);
    EXPECT_EQ(submit(thread, 0, sock), Step::native);
    EXPECT_EQ(submit(thread, UINT64_MAX, sock), Step::native) << "an error, by the guest kernel";
    EXPECT_EQ(submit(other, 4, sock), Step::native);
    expect_fine();
    EXPECT_TRUE(guest.take().empty());
    EXPECT_EQ(submit(thread, 4, sock), Step::native);
    expect_broken(TRIPOD_GUEST_unsupported, nr_io_submit);

    guest.user.page(list).present = false;
    EXPECT_EQ(submit(thread, 4, sock), Step::native) << "fetched first";
    expect_broken(TRIPOD_GUEST_unsupported, nr_io_submit);

    // More than anybody submits at once.
    for (unsigned i = 0; i <= 1024; ++i)
        guest.user.put(list + i * 8, blocks);
    FakeGuest::call(thread, nr_io_submit, {77, 1024, list});
    EXPECT_EQ(guest.run(thread, returning(1)), Step::native);
    expect_fine();
    FakeGuest::call(thread, nr_io_submit, {77, 1025, list});
    EXPECT_EQ(guest.run(thread, returning(1)), Step::native);
    expect_broken(TRIPOD_GUEST_unsupported, nr_io_submit);
}

TEST_F(UnsupportedTest, BytesThatGoFromASocketUnseen) {
    struct {
        unsigned nr;
        std::array<std::uint64_t, 6> args;
    } const calls[] = {{nr_splice, {s, 0, 1, 0, 100}},
                       {nr_splice, {1, 0, s, 0, 100}},
                       {nr_sendfile, {1, s, 0, 100}},
                       {nr_sendfile, {s, s, 0, 100}},
                       {276, {1, s, 100}}};
    for (const auto& call : calls) {
        EXPECT_EQ(guest.make(thread, call.nr, call.args, returning(1)), Step::native);
        expect_broken(TRIPOD_GUEST_unsupported, call.nr);
    }
    EXPECT_EQ(guest.make(thread, nr_sendfile, {1, 0, 0, 100}, returning(1)), Step::native);
    EXPECT_EQ(guest.make(thread, nr_splice, {0, 0, 1, 0, 100}, returning(1)), Step::native);
    expect_fine();
}

TEST_F(UnsupportedTest, FirstUseOfASocketThatWasHandedOver) {
    guest.make(other, nr_clock_gettime, {1, buffer}, returning(0));
    const std::uint64_t got = fd(guest.kernel.open_socket(plain));
    EXPECT_EQ(guest.make(other, nr_recvmmsg, {got, buffer, 1}, returning(1)), Step::native);
    expect_broken(TRIPOD_GUEST_unsupported, nr_recvmmsg);
    guest.make(other, nr_clock_gettime, {1, buffer}, returning(0));
    EXPECT_EQ(guest.make(other, nr_splice, {1, 0, got, 0, 10}, returning(1)), Step::native);
    expect_broken(TRIPOD_GUEST_unsupported, nr_splice);
}

} // namespace
} // namespace tripod::test
