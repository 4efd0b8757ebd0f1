// SPDX-License-Identifier: GPL-2.0-only
/** Inputs that another thread may see before they are logged: dom0 is told of them before that thread can send. */
#include "fixture.h"

namespace tripod::test {
namespace {

class ExposedTest : public HypervisorTest {
  protected:
    ExposedTest() {
        follow();
        guest.kernel.set_runnable(2);
    }
    std::uint32_t exposed() { return guest.control().exposed; }
    /** `who` makes a native call; returns what dom0 is told when the guest kernel gets it. */
    std::uint32_t exposed_at_entry(Thread& who, unsigned nr = nr_getpid) {
        std::uint32_t seen = 99;
        guest.make(who, nr, {}, [&](cpu_user_regs&) {
            seen = exposed();
            return std::int64_t{0};
        });
        return seen;
    }
    /** `thread` reads; `meanwhile` happens after the guest kernel copied the bytes and before the call returns. */
    template <typename Meanwhile>
    void read_and(Meanwhile meanwhile) {
        FakeGuest::call(thread, nr_read, {fd(sock), buffer, 100});
        guest.step(thread, [&](cpu_user_regs& regs) {
            const auto result = giving("secret")(regs);
            meanwhile();
            return result;
        });
    }
    static constexpr unsigned nr_getpid = 39;
    const Va buffer = guest.allocate(4096);
    Thread other = guest.add_thread(process, 102);
};

TEST_F(ExposedTest, CountedBeforeTheOtherThreadsCallAndUntilLogged) {
    std::uint64_t before = guest->record_seq;
    read_and([&] {
        EXPECT_EQ(exposed(), 0U);
        EXPECT_EQ(exposed_at_entry(other), 1U);
        EXPECT_EQ(exposed(), 1U) << "still not logged";
        // The record is published before the count goes down.
        guest.control().notify_seq = before + 1;
        guest.on_notify = [&] { EXPECT_EQ(guest.control().record_seq, before + 1); };
    });
    EXPECT_EQ(exposed(), 0U);
    EXPECT_EQ(guest.control().record_seq, before + 1);
}

TEST_F(ExposedTest, CountIsStillUpWhenTheRecordIsPublished) {
    std::vector<std::uint32_t> counts;
    read_and([&] {
        exposed_at_entry(other);
        guest.control().notify_seq = guest->record_seq + 1;
        guest.on_notify = [&] { counts.push_back(exposed()); };
    });
    EXPECT_EQ(counts, (std::vector<std::uint32_t>{1, 0})) << "dom0 is told when the count is back at 0";
}

TEST_F(ExposedTest, EveryKindOfEntryCounts) {
    Thread stranger = guest.add_thread(guest.add_process(500), 500);
    read_and([&] {
        for (const unsigned nr : {nr_getpid, nr_write, nr_getrandom, 100000U})
            EXPECT_EQ(exposed_at_entry(other, nr), 1U) << "call " << nr;
        EXPECT_EQ(exposed_at_entry(stranger), 1U);
        EXPECT_EQ(exposed_at_entry(stranger, 0x40000001U), 1U);
    });
    read_and([&] {
        EXPECT_EQ(exposed(), 0U);
        guest.kernel.run(stranger.task);
        guest.current_kernel_sp = stranger.kernel_sp;
        cpu_user_regs regs{};
        tripod_syscall_entry32(&regs);
        EXPECT_EQ(exposed(), 1U);
    });
}

TEST_F(ExposedTest, OnlyWhatDeliversCounts) {
    const struct {
        unsigned nr;
        std::array<std::uint64_t, 6> args;
        bool delivers;
    } calls[] = {{nr_read, {fd(sock), buffer, 10}, true},
                 {nr_epoll_wait, {5, buffer, 4, 0}, true},
                 {nr_clock_gettime, {1, buffer}, true},
                 {nr_accept, {fd(sock), 0, 0}, true},
                 {nr_connect, {fd(sock), buffer, 16}, true},
                 {nr_write, {fd(sock), buffer, 4}, false},
                 {nr_close, {fd(sock)}, false},
                 {nr_getpid, {}, false}};
    for (const auto& call : calls) {
        FakeGuest::call(thread, call.nr, call.args);
        guest.step(thread, [&](cpu_user_regs&) {
            EXPECT_EQ(exposed_at_entry(other), call.delivers ? 1U : 0U) << "call " << call.nr;
            return e_again;
        });
        EXPECT_EQ(exposed(), 0U);
    }
}

TEST_F(ExposedTest, SleepersAndStoppedOnesDoNotCount) {
    for (const std::uint32_t state : {1U, 4U, 8U, 0x2001U}) {
        guest.kernel.set_state(thread.task, state);
        read_and([&] { EXPECT_EQ(exposed_at_entry(other), 0U) << "state " << state; });
    }
    guest.kernel.set_state(thread.task, 2); // a page on its way, perhaps of the same buffer
    read_and([&] { EXPECT_EQ(exposed_at_entry(other), 1U); });
}

TEST_F(ExposedTest, AloneOnTheRunQueueNobodyIsLookedAt) {
    guest.kernel.set_runnable(1);
    read_and([&] { EXPECT_EQ(exposed_at_entry(other), 0U); });
}

TEST_F(ExposedTest, UnreadableStateCounts) {
    const tripod_profile good = guest->profile;
    guest->profile.task_state = 0x8000; // beyond what is mapped
    read_and([&] { EXPECT_EQ(exposed_at_entry(other), 1U); });
    guest->profile = good;
}

TEST_F(ExposedTest, GoesDownWhenTheThreadSleepsInstead) {
    // It was preempted on its way to sleep. Its input may never come: what the other sent must not wait for that.
    const auto preempted = [&](auto later) {
        guest.kernel.set_state(thread.task, 0);
        read_and([&] {
            EXPECT_EQ(exposed_at_entry(other), 1U);
            guest.kernel.set_state(thread.task, 1);
            guest.notified = 0;
            later();
            EXPECT_EQ(exposed(), 0U);
            EXPECT_EQ(guest.notified, 1U);
        });
    };
    preempted([&] { EXPECT_EQ(exposed_at_entry(other), 0U); });
    preempted([&] { guest.idle(); });
    preempted([&] { guest.iret(other); });
}

TEST_F(ExposedTest, KeptResultCountsWhoeverRuns) {
    while (tripod_record* record =
               tripod_record_begin(guest.get(), sizeof(tripod_record), TRIPOD_REC_call, 1, 1, -1))
        tripod_ring_publish(guest.get(), record);
    read_and([] {});
    ASSERT_EQ(guest->pending_count, 1U);
    guest.kernel.set_runnable(1);
    guest.kernel.set_state(thread.task, 1); // in the fault handler, until the page is there
    EXPECT_EQ(exposed_at_entry(other), 1U);
    guest.take();
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(exposed(), 0U);
}

TEST_F(ExposedTest, ThreadsThatAreGoneDoNotCount) {
    read_and([&] {
        EXPECT_EQ(exposed_at_entry(other), 1U);
        guest.kernel.set_state(thread.task, 0x80); // dead
        EXPECT_EQ(exposed_at_entry(other), 0U);
        EXPECT_EQ(guest->pending_count, 0U);
    });
    guest.kernel.set_state(thread.task, 0);
    read_and([&] {
        EXPECT_EQ(exposed_at_entry(other), 1U);
        guest.kernel.memory.put(thread.task + FakeKernel::profile().task_pid, 999U); // another's
        EXPECT_EQ(exposed_at_entry(other), 0U);
        EXPECT_EQ(guest->pending_count, 0U);
        guest.kernel.memory.put(thread.task + FakeKernel::profile().task_pid, thread.tid);
    });
}

TEST_F(ExposedTest, StackOfADeadThreadEndsItsCall) {
    read_and([&] {
        EXPECT_EQ(exposed_at_entry(other), 1U);
        Thread heir = guest.add_thread(process, 103);
        heir.kernel_sp = thread.kernel_sp;
        guest.make(heir, nr_getrandom, {buffer, 8, 0}, returning(8));
        EXPECT_EQ(exposed(), 0U);
        EXPECT_EQ(guest->pending_count, 0U);
    });
}

TEST_F(ExposedTest, OwnSignalHandlerCounts) {
    guest.kernel.set_runnable(1);
    cpu_user_regs frame{};
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 100});
    guest.step(thread, [&](cpu_user_regs& regs) {
        const auto result = giving("secret")(regs);
        frame = regs;
        frame.rax = static_cast<std::uint64_t>(result);
        regs.rip = 0x500000;
        regs.rsp -= 1024;
        return std::int64_t{0};
    });
    FakeGuest::call(thread, nr_getpid, {}, 0x500100);
    EXPECT_EQ(guest.step(thread,
                         [&](cpu_user_regs&) {
                             EXPECT_EQ(exposed(), 1U);
                             return std::int64_t{0};
                         }),
              Step::native);
    thread.regs = frame;
    guest.iret(thread);
    EXPECT_EQ(exposed(), 0U);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(ExposedTest, SeveralAreCountedOneByOne) {
    Thread third = guest.add_thread(process, 103);
    read_and([&] {
        FakeGuest::call(other, nr_epoll_wait, {5, buffer + 512, 4, 0});
        guest.step(other, [&](cpu_user_regs&) {
            EXPECT_EQ(exposed_at_entry(third), 2U);
            return std::int64_t{0};
        });
        EXPECT_EQ(exposed(), 1U);
    });
    EXPECT_EQ(exposed(), 0U);
}

TEST_F(ExposedTest, ReplayAndANewLogCountNothing) {
    read_and([&] {
        EXPECT_EQ(exposed_at_entry(other), 1U);
        guest.set_mode(TRIPOD_MODE_record);
        EXPECT_EQ(exposed(), 0U);
        EXPECT_EQ(exposed_at_entry(other), 0U);
    });
    EXPECT_EQ(exposed(), 0U);
    read_and([&] {
        guest.set_mode(TRIPOD_MODE_replay);
        EXPECT_EQ(exposed_at_entry(other), 0U);
    });
}

} // namespace
} // namespace tripod::test
