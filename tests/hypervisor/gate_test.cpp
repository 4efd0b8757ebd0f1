// SPDX-License-Identifier: GPL-2.0-only
/**
 * What dom0's gate needs: an output waits only while the gate has no room. The way to wait is tested here too.
 */
#include "fixture.h"

namespace tripod::test {
namespace {

class GateTest : public HypervisorTest {
  protected:
    GateTest() {
        follow();
        guest.user.poke(buffer, "answer", 6);
        guest.notified = 0;
    }
    void fill_gate() { guest.control().gate_full = 1; }
    /** dom0: the gate has room again. */
    void open_gate() {
        guest.control().gate_full = 0;
        guest.kick();
    }
    void send() { FakeGuest::call(thread, nr_write, {fd(sock), buffer, 6}); }
    const Va buffer = guest.allocate(4096);
};

TEST_F(GateTest, OutputsPassAtOnceAndAreLoggedInOrder) {
    guest.make(thread, nr_getrandom, {buffer + 64, 8, 0}, returning(8));
    for (int i = 0; i < 3; ++i) {
        send();
        EXPECT_EQ(guest.step(thread, returning(i + 1)), Step::native);
    }
    EXPECT_EQ(guest.control().waits, 0U);
    EXPECT_EQ(guest.notified, 0U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 4U);
    EXPECT_EQ(records[0].head().nr, nr_getrandom);
    for (unsigned i = 1; i < 4; ++i) {
        EXPECT_EQ(records[i].head().nr, nr_write);
        EXPECT_EQ(records[i].head().result, i);
    }
}

TEST_F(GateTest, OutputWaitsWhileTheGateIsFull) {
    fill_gate();
    send();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_write);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_gate);
    EXPECT_EQ(guest.notified, 1U);

    guest.kick(); // of no use
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    open_gate();
    EXPECT_FALSE(guest.dom.vcpu0.blocked) << "the kick did not wake the vCPU";
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U) << "an output that waited is logged once";
}

TEST_F(GateTest, EveryOutputOfTheTableWaitsAndNothingElse) {
    fill_gate();
    for (const unsigned nr : {1U, 20U, 40U, 44U, 46U}) {
        FakeGuest::call(thread, nr, {fd(sock), buffer, 0});
        EXPECT_EQ(guest.step(thread, never), Step::blocked) << "call " << nr;
    }
    for (const unsigned nr : {nr_read, nr_close, nr_epoll_wait, nr_getrandom}) {
        FakeGuest::call(thread, nr, {fd(sock), buffer, 0});
        EXPECT_EQ(guest.step(thread, returning(0)), Step::native) << "call " << nr << " waits";
    }
}

TEST_F(GateTest, ModeTraceHasNoGate) {
    follow(TRIPOD_MODE_trace);
    fill_gate();
    send();
    EXPECT_EQ(guest.step(thread, returning(6)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(GateTest, ANewLogBeginsWithAnEmptyGate) {
    fill_gate();
    guest.set_mode(TRIPOD_MODE_record);
    EXPECT_EQ(guest.control().gate_full, 0U);
}

TEST_F(GateTest, GivesWayToOtherThreads) {
    fill_gate();
    guest.kernel.set_runnable(2);
    send();
    EXPECT_EQ(guest.step(thread, never), Step::yielded);
    ASSERT_EQ(guest.seen.size(), 1U);
    EXPECT_EQ(guest.seen[0].rax, 24U);
    EXPECT_EQ(thread.regs.rax, nr_write);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rdx, 6U);
    EXPECT_FALSE(guest.dom.vcpu0.blocked);
    EXPECT_EQ(guest->pending_count, 0U);
    open_gate();
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
}

TEST_F(GateTest, SignalDuringTheYieldComesBackToTheOutput) {
    fill_gate();
    guest.kernel.set_runnable(2);
    send();
    cpu_user_regs frame{};
    thread.regs.rip += 2;
    guest.current_kernel_sp = thread.kernel_sp;
    ASSERT_FALSE(tripod_syscall_entry(&thread.regs)); // sched_yield runs
    frame = thread.regs;
    frame.rax = 0;
    thread.regs.rip = 0x500000; // a handler is called first
    thread.regs.rsp -= 1024;
    guest.iret(thread);
    EXPECT_EQ(thread.regs.rip, 0x500000U);
    thread.regs = frame; // sigreturn
    guest.iret(thread);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_write);
}

TEST_F(GateTest, ThreadsThatAllWaitDoNotSpin) {
    fill_gate();
    guest.kernel.set_runnable(2);
    send();
    int tries = 1;
    while (guest.step(thread, never) == Step::yielded && tries < 1000)
        ++tries;
    EXPECT_TRUE(guest.dom.vcpu0.blocked);
    EXPECT_GT(tries, 8);
    EXPECT_LE(tries, 64);
    EXPECT_EQ(guest.notified, 1U) << "dom0 is told of a wait once, not at each try";
    // A call that goes through means that others make progress.
    Thread other = guest.add_thread(process, 102);
    guest.make(other, nr_getrandom, {buffer + 64, 8, 0}, returning(8));
    EXPECT_EQ(guest.step(thread, never), Step::yielded);
}

TEST_F(GateTest, RoomBetweenTheLookAndTheSleepIsNotMissed) {
    fill_gate();
    send();
    // The read of the run queue is the last thing before the vCPU would sleep; a kick then finds it awake, and the
    // next try must pass.
    guest.kernel.memory.after_read = [&](Va, std::uint32_t bytes) {
        if (bytes == 4)
            guest.control().gate_full = 0;
    };
    guest.step(thread, returning(6));
    guest.kernel.memory.after_read = nullptr;
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
}

TEST_F(GateTest, RoomAfterTheLastLookEndsTheSleep) {
    fill_gate();
    send();
    guest.on_block = [&] { guest.control().gate_full = 0; };
    EXPECT_EQ(guest.step(thread, never), Step::again);
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
}

TEST_F(GateTest, DoorbellOfADomainWithoutPagesIsHarmless) {
    tripod_control* control = guest->control;
    guest->control = nullptr;
    guest.kick();
    guest->control = control;
    guest.dom.tripod = nullptr;
    guest.kick();
    guest.dom.tripod = guest.get();
}

TEST_F(GateTest, KickClearsTheReasonsToWait) {
    fill_gate();
    send();
    guest.step(thread, never);
    EXPECT_NE(guest.control().waits, 0U);
    guest.kick();
    EXPECT_EQ(guest.control().waits, 0U);
    guest.step(thread, never);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_gate) << "still waiting, so it is said again";
    EXPECT_EQ(guest.notified, 2U);
}

TEST_F(GateTest, EndOfTheModeLetsAWaiterThrough) {
    fill_gate();
    send();
    guest.step(thread, never);
    guest.set_mode(TRIPOD_MODE_off);
    EXPECT_FALSE(guest.dom.vcpu0.blocked);
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
    EXPECT_TRUE(guest.take().empty());
}

} // namespace
} // namespace tripod::test
