// SPDX-License-Identifier: GPL-2.0-only
/** Calls between their entry and their return: interrupted, restarted, nested, abandoned. */
#include "fixture.h"

namespace tripod::test {
namespace {

class PendingTest : public HypervisorTest {
  protected:
    PendingTest() { follow(TRIPOD_MODE_trace); }

    /** Fills the record ring until nothing has room. */
    void fill_ring() {
        while (tripod_record* record =
                   tripod_record_begin(guest.get(), sizeof(tripod_record), TRIPOD_REC_call, 1, 1, -1))
            tripod_ring_publish(guest.get(), record);
    }
    /** A signal arrives while the thread is in user code or on its way there. Returns what sigreturn restores. */
    cpu_user_regs enter_handler() {
        const cpu_user_regs frame = thread.regs;
        thread.regs.rip = 0x500000;
        thread.regs.rsp -= 1024;
        thread.regs.rax = 0;
        guest.iret(thread);
        return frame;
    }
    void leave_handler(const cpu_user_regs& frame) {
        thread.regs = frame;
        guest.iret(thread);
    }
    /** The guest kernel restarts an interrupted call. */
    static Native restarting(std::uint64_t with) {
        return [with](cpu_user_regs& regs) {
            regs.rip -= 2;
            return static_cast<std::int64_t>(with);
        };
    }
    const Va buffer = guest.allocate(4096);
};

TEST_F(PendingTest, FoundByThreadAndStackUntilDropped) {
    tripod_thread one{1, 0, 11, 10, 0}, two{2, 0, 12, 10, 0};
    cpu_user_regs regs{};
    regs.rsp = 100;
    regs.rdi = 7;
    tripod_pending* first = tripod_pending_add(guest.get(), &one, &regs, 5);
    tripod_pending_add(guest.get(), &two, &regs, 6);
    regs.rsp = 200;
    tripod_pending_add(guest.get(), &one, &regs, 7);
    EXPECT_EQ(tripod_pending_find(guest.get(), 1, 100)->nr, 5);
    EXPECT_EQ(tripod_pending_find(guest.get(), 2, 100)->nr, 6);
    EXPECT_EQ(tripod_pending_find(guest.get(), 1, 200)->nr, 7);
    EXPECT_EQ(tripod_pending_find(guest.get(), 2, 200), nullptr);
    tripod_pending_drop(guest.get(), first);
    EXPECT_EQ(tripod_pending_find(guest.get(), 1, 100), nullptr);
    EXPECT_EQ(tripod_pending_find(guest.get(), 2, 100)->nr, 6);
    EXPECT_EQ(tripod_pending_find(guest.get(), 1, 200)->nr, 7);
}

TEST_F(PendingTest, FullTableEndsTheProtectionAndNotTheGuest) {
    for (unsigned i = 0; i < TRIPOD_MAX_PENDING; ++i) {
        const tripod_thread other{i + 1, 0, i, i, 0};
        const cpu_user_regs regs{};
        ASSERT_NE(tripod_pending_add(guest.get(), &other, &regs, 0), nullptr);
    }
    EXPECT_EQ(guest.make(thread, nr_read, {fd(sock), buffer, 10}, giving("hello")), Step::native);
    EXPECT_EQ(thread.regs.rax, 5U);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_guest);
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_many);
    EXPECT_EQ(guest.control().unfit, TRIPOD_REASON_guest);
    EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
}

TEST_F(PendingTest, AbandonedCallDoesNotAnswerTheNext) {
    // longjmp out of a handler: the read never returns; the same stack then makes another call, from elsewhere.
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    guest.step(thread, [&](cpu_user_regs& regs) {
        regs.rip = 0x500000; // the kernel returns to a handler
        regs.rsp -= 1024;
        return std::int64_t{0};
    });
    EXPECT_EQ(guest->pending_count, 1U);
    thread.regs.rsp += 1024;
    FakeGuest::call(thread, nr_getrandom, {buffer, 4, 0}, 0x402000);
    EXPECT_EQ(guest.run(thread, returning(4)), Step::native);
    EXPECT_EQ(guest->pending_count, 0U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].head().nr, nr_getrandom);
}

TEST_F(PendingTest, ThreadThatDiesInACallLeavesItsStackToAnother) {
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    guest.forget_pending();
    const tripod_thread dead{thread.kernel_sp, 0, 999, 100, 0};
    cpu_user_regs regs = thread.regs;
    regs.rip += 2;
    tripod_pending_add(guest.get(), &dead, &regs, nr_read);
    EXPECT_EQ(guest.run(thread, giving("new")), Step::native);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].head().tid, thread.tid);
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(PendingTest, KeptResultOfADeadThreadIsNotGivenToAnother) {
    const tripod_thread dead{thread.kernel_sp, 0, 999, 100, 0};
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    cpu_user_regs regs = thread.regs;
    regs.rip += 2;
    tripod_pending* left = tripod_pending_add(guest.get(), &dead, &regs, nr_read);
    left->state = TRIPOD_PENDING_captured;
    left->result = 9;
    EXPECT_EQ(guest.run(thread, giving("new")), Step::native);
    EXPECT_EQ(thread.regs.rax, 3U);
}

TEST_F(PendingTest, HandlerOnTheSameThreadHasItsOwnCall) {
    // A signal interrupts a read; the handler makes a call, then the read goes on by being made again.
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    cpu_user_regs frame{};
    guest.step(thread, [&](cpu_user_regs& regs) {
        frame = regs;
        frame.rip -= 2;
        frame.rax = nr_read;
        regs.rip = 0x500000;
        regs.rsp -= 1024;
        return std::int64_t{0};
    });
    FakeGuest::call(thread, nr_getrandom, {buffer + 100, 4, 0}, 0x500100);
    EXPECT_EQ(guest.run(thread, returning(4)), Step::native);
    leave_handler(frame);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_read);
    EXPECT_EQ(guest.run(thread, giving("later")), Step::native);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].head().nr, nr_getrandom);
    EXPECT_EQ(records[1].head().nr, nr_read);
    EXPECT_EQ(text(records[1].segments().at(0)), "later");
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(PendingTest, InterruptedCallIsLoggedOnceMadeAgain) {
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, TRIPOD_PAYLOAD_MAX + 5});
    EXPECT_EQ(guest.step(thread, restarting(nr_read)), Step::again);
    EXPECT_EQ(thread.regs.rdx, TRIPOD_PAYLOAD_MAX + 5) << "the clamped length was left in the guest's register";
    EXPECT_TRUE(guest.take().empty());
    EXPECT_EQ(guest.run(thread, giving("data")), Step::native);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(PendingTest, RestartSyscallIsLoggedAsTheCallThatItResumes) {
    const Va fds = guest.allocate(8);
    FakeGuest::call(thread, nr_poll, {fds, 1, 1000});
    EXPECT_EQ(guest.step(thread, restarting(nr_restart)), Step::again);
    EXPECT_EQ(thread.regs.rax, nr_restart);
    EXPECT_EQ(guest.run(thread, returning(1)), Step::native);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].head().nr, nr_poll);
    EXPECT_EQ(records[0].segments().at(0).bytes.size(), 8U);
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(PendingTest, TimerTickBeforeRestartSyscallLosesNothing) {
    const Va fds = guest.allocate(8);
    FakeGuest::call(thread, nr_poll, {fds, 1, 1000});
    EXPECT_EQ(guest.step(thread, restarting(nr_restart)), Step::again);
    guest.iret(thread); // the tick came just before the syscall instruction
    EXPECT_EQ(thread.regs.rax, nr_restart);
    EXPECT_EQ(guest.run(thread, returning(1)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U);
}

// "A full ring makes the thread wait": the call's result is kept, and neither lost nor asked for twice.
TEST_F(PendingTest, ResultWithoutRoomIsKeptAcrossEventsAndSignals) {
    fill_ring();
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 100});
    EXPECT_EQ(guest.step(thread, giving(std::string(100, 'x'))), Step::again);
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    EXPECT_TRUE(guest.control().waits & TRIPOD_WAIT_space);
    EXPECT_GE(guest.notified, 1U);
    guest.iret(thread); // woken by an event of the guest's
    EXPECT_EQ(guest.step(thread, never), Step::blocked);

    const cpu_user_regs frame = enter_handler();
    FakeGuest::call(thread, nr_getrandom, {buffer + 200, 4, 0}, 0x500100);
    EXPECT_EQ(guest.step(thread, returning(4)), Step::again); // its result waits as well
    EXPECT_EQ(guest->pending_count, 2U);

    guest.take();
    guest.kick();
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    leave_handler(frame);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(thread.regs.rax, 100U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[1].head().nr, nr_read);
    EXPECT_EQ(text(records[1].segments().at(0)), std::string(100, 'x'));
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(PendingTest, RoomThatComesWhileTheThreadGoesToSleepIsNotMissed) {
    fill_ring();
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 100});
    EXPECT_EQ(guest.step(thread, giving("kept")), Step::again);
    guest.on_block = [&] { guest.take(); };
    EXPECT_EQ(guest.step(thread, never), Step::again);
    EXPECT_EQ(guest.step(thread, never), Step::answered);
}

TEST_F(PendingTest, ModeThatEndsWithAKeptResultGivesItToTheGuest) {
    fill_ring();
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 100});
    EXPECT_EQ(guest.step(thread, giving("kept")), Step::again);
    guest.set_mode(TRIPOD_MODE_off);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(thread.regs.rax, 4U);
}

TEST_F(PendingTest, CallThatBeganBeforeTheLogIsNotInIt) {
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    guest.step(thread, [&](cpu_user_regs& regs) {
        guest.set_mode(TRIPOD_MODE_record, 50); // meanwhile
        return giving("old")(regs);
    });
    EXPECT_EQ(thread.regs.rax, 3U);
    EXPECT_TRUE(guest.take().empty());
    EXPECT_EQ(guest->pending_count, 0U);
    EXPECT_EQ(guest.make(thread, nr_read, {fd(sock), buffer, 10}, giving("new")), Step::native);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].head().type, TRIPOD_REC_socket);
    EXPECT_EQ(records[0].head().seq, 50U);
}

} // namespace
} // namespace tripod::test
