// SPDX-License-Identifier: GPL-2.0-only
/**
 * Promise 2, end to end: a random program of system calls, recorded in one domain and replayed in another that
 * began with the same memory, leaves the same memory and registers, and sends the same bytes.
 */
#include "fixture.h"
#include "seed.h"

namespace tripod::test {
namespace {

/** What a thread of the program is about to do; what it does with descriptors depends on its own results alone. */
struct Op {
    std::uint64_t kind, a, b, c;
};

struct Worker {
    Thread thread;
    Va area = 0;
    std::vector<int> fds;
    std::vector<Op> ops;
    std::size_t at = 0;
    bool in_call = false;
    std::vector<cpu_user_regs> trace; // registers after each call
};

/** One replica of the program: a guest and its threads. Both replicas are built alike. */
class Replica {
  public:
    Replica(std::uint64_t seed, std::uint64_t own_seed) : random_(own_seed) {
        listening = guest.kernel.open_socket(process, {.state = 10});
        random_fd = guest.kernel.open_urandom(process);
        pipe = guest.kernel.open_pipe(process);
        Random program(seed);
        for (std::uint32_t i = 0; i < workers.size(); ++i) {
            Worker& worker = workers[i];
            worker.thread = guest.add_thread(process, 50 + i);
            worker.area = guest.allocate(area_bytes);
            worker.fds = {guest.kernel.open_socket(process)}; // no thread uses what another may close
            for (int op = 0; op < 120; ++op)
                worker.ops.push_back({kind(program, i), program.bits(), program.bits(), program.bits()});
        }
    }

    /** Puts a thread at its next call, with what it passes in memory. */
    void prepare(Worker& w) const;
    /** The thread looks at its result. */
    static void finish(Worker& w);
    /** The guest kernel's part: on the primary all of it, on the backup what runs natively. */
    std::int64_t perform(cpu_user_regs& regs, bool primary);
    /** Pages go, and come back by faults. */
    void disturb_pages(Worker& w) {
        if (!random_.one_in(5))
            return;
        auto& page = guest.user.page(w.area + random_.below(area_bytes));
        (random_.one_in(2) ? page.present : page.writable) = false;
    }

    static constexpr std::uint64_t kinds = 22;
    static constexpr std::uint64_t area_bytes = 16 * PAGE_SIZE, data_bytes = 4000;

    // mutable: prepare() writes as the program does, and belongs to neither kernel nor hypervisor
    mutable FakeGuest guest;
    Process process = guest.add_process(50);
    int listening = -1, random_fd = -1, pipe = -1;
    std::array<Worker, 3> workers;

  private:
    /**
     * Descriptors are allotted in the order in which calls run, and logged in the order in which they end: threads
     * that open and close at the same time cannot be replayed by this version. So only the first thread does.
     */
    static std::uint64_t kind(Random& program, std::uint32_t worker) {
        const std::uint64_t drawn = program.below(kinds);
        return worker != 0 && drawn >= first_opening && drawn <= last_opening ? 0 : drawn;
    }
    static constexpr std::uint64_t first_opening = 8, last_opening = 11; // in the table of prepare()

    void fill(Va at, std::uint64_t bytes) {
        for (std::uint64_t i = 0; i < bytes; ++i)
            guest.user.put(at + i, static_cast<std::uint8_t>(random_.bits()));
    }
    std::int64_t receive(Va at, std::uint64_t most) {
        const std::uint64_t bytes = random_.below(std::min(most, data_bytes) + 1);
        fill(at, bytes);
        return static_cast<std::int64_t>(bytes);
    }
    std::int64_t receive_vector(Va iov, std::uint64_t count) {
        std::int64_t sum = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto length = guest.user.get<std::uint64_t>(iov + i * 16 + 8);
            const auto part = receive(guest.user.get<Va>(iov + i * 16), length);
            sum += part;
            if (static_cast<std::uint64_t>(part) < length)
                break; // the kernel leaves no gaps
        }
        return sum;
    }
    void name(Va at, Va length) {
        if (at == 0)
            return;
        fill(at, std::min(guest.user.get<std::uint32_t>(length), 16U));
        guest.user.put(length, 16U);
    }
    Random random_;
};

void Replica::prepare(Worker& w) const {
    const Op& op = w.ops[w.at];
    const Va data = w.area + op.a % (2 * PAGE_SIZE), more = w.area + 5 * PAGE_SIZE + op.b % (2 * PAGE_SIZE);
    const Va iov = w.area + 10 * PAGE_SIZE - 24, header = w.area + 11 * PAGE_SIZE - 16; // across pages
    const Va address = w.area + 12 * PAGE_SIZE + 100, length = w.area + 13 * PAGE_SIZE - 2;
    const Va control = w.area + 14 * PAGE_SIZE;
    const std::uint64_t bytes = op.c % data_bytes, conn = static_cast<std::uint64_t>(w.fds[op.b % w.fds.size()]);
    const std::uint64_t listener = static_cast<std::uint64_t>(listening);

    guest.user.put(iov, std::array<std::uint64_t, 6>{data, bytes / 2, more, bytes / 3, data + 4096, bytes});
    guest.user.put(header, std::array<std::uint64_t, 7>{address, 28, iov, 2, control, 64, 0});
    guest.user.put(length, static_cast<std::uint32_t>(op.a % 40));
    const bool named = op.c % 2 == 0;
    const Va name_at = named ? address : 0, name_length = named ? length : 0;

    struct {
        unsigned nr;
        std::array<std::uint64_t, 6> args;
    } const calls[kinds] = {
        {nr_read, {conn, data, bytes}},
        {nr_readv, {conn, iov, 3}},
        {nr_recvfrom, {conn, data, bytes, 0, name_at, name_length}},
        {nr_recvmsg, {conn, header, 0}},
        {nr_write, {conn, data, bytes}},
        {nr_writev, {conn, iov, 3}},
        {nr_sendto, {conn, data, bytes, 0, 0, 0}},
        {nr_sendmsg, {conn, header, 0}},
        {nr_accept, {listener, name_at, name_length}},
        {nr_accept4, {listener, name_at, name_length, 0x80000}},
        {nr_close, {conn}},
        {nr_socket, {op.c % 2 == 0 ? 2U : 10U, 1, 0}},
        {nr_getsockopt, {conn, 1, 4, address, length}},
        {52, {conn, address, length}},
        {nr_clock_gettime, {op.c % 8, data}},
        {nr_gettimeofday, {data, named ? more : 0}},
        {nr_getrandom, {data, bytes, 0}},
        {nr_epoll_wait, {5, data, op.c % 50, 100}},
        {nr_poll, {data, op.c % 50, 0}},
        {nr_select, {op.c % 300, data, more, 0, address}},
        {nr_read, {static_cast<std::uint64_t>(random_fd), data, bytes}},
        {nr_write, {static_cast<std::uint64_t>(pipe), data, bytes}},
    };
    const auto& call = calls[op.kind];
    FakeGuest::call(w.thread, call.nr, call.args, FakeGuest::syscall_site + op.kind * 16);
    // The last connection stays, so that there is always one.
    if (call.nr == nr_close && w.fds.size() == 1)
        FakeGuest::call(w.thread, nr_clock_gettime, {1, data});
    w.in_call = true;
}

void Replica::finish(Worker& w) {
    const auto result = static_cast<std::int64_t>(w.thread.regs.rax);
    const Op& op = w.ops[w.at];
    if ((op.kind == 8 || op.kind == 9 || op.kind == 11) && result >= 0)
        w.fds.push_back(static_cast<int>(result));
    if (op.kind == 10 && w.fds.size() > 1)
        std::erase(w.fds, static_cast<int>(w.thread.regs.rdi));
    w.trace.push_back(w.thread.regs);
    w.in_call = false;
    ++w.at;
}

std::int64_t Replica::perform(cpu_user_regs& regs, bool primary) {
    // The same on every replica, by the guest kernel's own state.
    if (regs.rax == nr_close) {
        guest.kernel.close(process, static_cast<int>(regs.rdi));
        return 0;
    }
    if (regs.rax == nr_socket)
        return guest.kernel.open_socket(process, {.family = static_cast<std::uint16_t>(regs.rdi)});
    if (regs.rax == nr_write && regs.rdi == static_cast<std::uint64_t>(pipe))
        return static_cast<std::int64_t>(regs.rdx);
    if (!primary) {
        ADD_FAILURE() << "the backup's kernel was entered with call " << regs.rax;
        return e_nosys;
    }

    if (random_.one_in(8)) { // interrupted by a signal without a handler: made again
        regs.rip -= 2;
        return static_cast<std::int64_t>(regs.rax);
    }
    if (random_.one_in(6))
        return e_again;
    switch (regs.rax) {
    case nr_read:
        return receive(regs.rsi, regs.rdx);
    case nr_recvfrom:
        name(regs.r8, regs.r9);
        return receive(regs.rsi, regs.rdx);
    case nr_readv:
        return receive_vector(regs.rsi, regs.rdx);
    case nr_recvmsg: {
        auto fields = guest.user.get<std::array<std::uint64_t, 7>>(regs.rsi);
        fill(fields[0], 16);
        fill(fields[4], 24);
        fields[1] = 16;
        fields[5] = 24;
        fields[6] = random_.below(100);
        guest.user.put(regs.rsi, fields);
        return receive_vector(fields[2], fields[3]);
    }
    case nr_write:
    case nr_sendto:
        return static_cast<std::int64_t>(random_.below(regs.rdx + 1));
    case nr_writev:
    case nr_sendmsg:
        return static_cast<std::int64_t>(random_.below(100));
    case nr_accept:
    case nr_accept4:
        if (guest.kernel.lowest_free(process) > 55)
            return e_again;
        name(regs.rsi, regs.rdx);
        return guest.kernel.open_socket(process, {.remote_port = static_cast<std::uint16_t>(random_.below(65536))});
    case nr_getsockopt:
        name(regs.r10, regs.r8);
        return 0;
    case 52:
        name(regs.rsi, regs.rdx);
        return 0;
    case nr_clock_gettime:
        fill(regs.rsi, 16);
        return 0;
    case nr_gettimeofday:
        fill(regs.rdi, 16);
        if (regs.rsi != 0)
            fill(regs.rsi, 8);
        return 0;
    case nr_getrandom:
        return receive(regs.rdi, regs.rsi);
    case nr_epoll_wait: {
        const auto events = random_.below(regs.rdx + 1);
        fill(regs.rsi, events * 12);
        return static_cast<std::int64_t>(events);
    }
    case nr_poll:
        fill(regs.rdi, regs.rsi * 8);
        return 1;
    case nr_select:
        fill(regs.rsi, (regs.rdi + 63) / 64 * 8);
        fill(regs.rdx, (regs.rdi + 63) / 64 * 8);
        fill(regs.r8, 16);
        return 1;
    default:
        ADD_FAILURE() << "the program makes no call " << regs.rax;
        return e_nosys;
    }
}

/** Runs the program on the primary, in some order of its threads; returns the log. */
std::vector<Record> record_program(Replica& primary, Random& order) {
    std::vector<Record> log;
    primary.guest.set_mode(TRIPOD_MODE_record, 1000);
    primary.guest.kernel.set_runnable(1);
    const auto dom0 = [&] {
        for (Record& record : primary.guest.take())
            log.push_back(std::move(record));
        primary.guest.control().gate_full = 0;
        primary.guest.kick();
    };
    for (;;) {
        std::vector<Worker*> ready;
        for (Worker& worker : primary.workers)
            if (worker.at < worker.ops.size())
                ready.push_back(&worker);
        if (ready.empty())
            break;
        Worker& w = *ready[order.below(ready.size())];
        if (!w.in_call)
            primary.prepare(w);
        // The page goes while the kernel is at it: after it wrote, before the result is logged.
        const Step now_at = primary.guest.step(w.thread, [&](cpu_user_regs& regs) {
            const std::int64_t result = primary.perform(regs, true);
            primary.disturb_pages(w);
            return result;
        });
        if (now_at == Step::native || now_at == Step::answered)
            Replica::finish(w);
        else if (now_at == Step::blocked)
            dom0();
        else
            EXPECT_NE(now_at, Step::killed);
        if (order.one_in(30))
            primary.guest.iret(w.thread); // a timer tick
        if (order.one_in(20))
            primary.guest.control().gate_full = 1;
    }
    dom0();
    EXPECT_EQ(primary.guest->divergence.reason, TRIPOD_REASON_none);
    EXPECT_EQ(primary.guest->pending_count, 0U);
    return log;
}

/** Replays it on the backup, whose threads are scheduled otherwise and whose log arrives in pieces. */
void replay_program(Replica& backup, const std::vector<Record>& log, Random& order) {
    std::size_t fed = 0;
    backup.guest.set_mode(TRIPOD_MODE_replay, 1000);
    for (int idle = 0; idle < 20000;) {
        while (fed < log.size() && !order.one_in(4) && backup.guest.feed(log[fed]))
            ++fed;
        std::vector<Worker*> ready;
        for (Worker& worker : backup.workers)
            if (worker.at < worker.ops.size())
                ready.push_back(&worker);
        if (ready.empty())
            break;
        backup.guest.kernel.set_runnable(static_cast<std::uint32_t>(ready.size()));
        Worker& w = *ready[order.below(ready.size())];
        if (!w.in_call) {
            backup.prepare(w);
            backup.disturb_pages(w);
        }
        const Step now_at =
            backup.guest.step(w.thread, [&](cpu_user_regs& regs) { return backup.perform(regs, false); });
        if (now_at == Step::native || now_at == Step::answered) {
            Replica::finish(w);
            idle = 0;
        }
        ASSERT_NE(now_at, Step::killed);
        ++idle;
        const tripod_divergence& d = backup.guest->divergence;
        ASSERT_EQ(d.reason, TRIPOD_REASON_none)
            << "record " << d.seq << " call " << d.nr << " expected " << d.expected << " found " << d.found;
        if (order.one_in(30))
            backup.guest.iret(w.thread);
        if (order.one_in(3))
            backup.guest.kick();
    }
    EXPECT_EQ(fed, log.size());
    EXPECT_EQ(backup.guest.control().replay_cons, backup.guest.control().replay_prod) << "records are left";
    EXPECT_EQ(backup.guest->pending_count, 0U);
}

TEST(RoundTripTest, ReplayedProgramLeavesTheSameMemoryAndRegisters) {
    for_seeds(40, [](std::uint64_t seed) {
        Replica primary(seed, seed + 1'000'000), backup(seed, seed + 2'000'000);
        Random order(seed + 3'000'000);
        const auto log = record_program(primary, order);
        EXPECT_GT(log.size(), 200U);
        replay_program(backup, log, order);
        for (std::size_t i = 0; i < primary.workers.size(); ++i) {
            const auto& ours = primary.workers[i].trace;
            const auto& theirs = backup.workers[i].trace;
            ASSERT_EQ(ours.size(), theirs.size()) << "thread " << i;
            for (std::size_t at = 0; at < ours.size(); ++at)
                ASSERT_EQ(std::memcmp(&ours[at], &theirs[at], sizeof ours[at]), 0)
                    << "thread " << i << " call " << at << " kind " << primary.workers[i].ops[at].kind;
        }
        EXPECT_TRUE(primary.guest.user.content() == backup.guest.user.content());
    });
}

} // namespace
} // namespace tripod::test
