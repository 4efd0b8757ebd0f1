// SPDX-License-Identifier: GPL-2.0-only
/**
 * Promise 1: a byte leaves the VM only when every record logged before the output is committed; and Xen's part of
 * promise 3: only while the lease holds. The way to wait is tested here too.
 */
#include "fixture.h"

namespace tripod::test {
namespace {

class OutputRuleTest : public HypervisorTest {
  protected:
    OutputRuleTest() {
        follow();
        guest.user.poke(buffer, "answer", 6);
    }
    /** Something is logged and not committed. */
    void log_one() {
        guest.make(thread, nr_getrandom, {buffer + 64, 8, 0}, returning(8));
        guest.take();
        guest.notified = 0;
        guest.seen.clear();
    }
    void send() { FakeGuest::call(thread, nr_write, {fd(sock), buffer, 6}); }
    const Va buffer = guest.allocate(4096);
};

TEST_F(OutputRuleTest, OutputWaitsUntilAllBeforeItIsCommitted) {
    log_one();
    log_one();
    send();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_write);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_commit);
    EXPECT_EQ(guest.notified, 1U);

    ++guest.control().commit_seq; // one of two
    guest.kick();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    ++guest.control().commit_seq;
    guest.kick();
    EXPECT_FALSE(guest.dom.vcpu0.blocked) << "the kick did not wake the vCPU";
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U) << "an output that waited is logged once";
}

TEST_F(OutputRuleTest, EveryOutputOfTheTableWaits) {
    log_one();
    for (const unsigned nr : {1U, 20U, 40U, 44U, 46U}) {
        FakeGuest::call(thread, nr, {fd(sock), buffer, 0});
        EXPECT_EQ(guest.step(thread, never), Step::blocked) << "call " << nr;
    }
    for (const unsigned nr : {nr_read, nr_close, nr_epoll_wait, nr_getrandom}) {
        FakeGuest::call(thread, nr, {fd(sock), buffer, 0});
        EXPECT_EQ(guest.step(thread, returning(0)), Step::native) << "call " << nr << " waits";
    }
}

TEST_F(OutputRuleTest, NothingLeavesWithoutALease) {
    guest.control().lease_deadline_ns = static_cast<std::uint64_t>(guest.now);
    send();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    guest.control().lease_deadline_ns = 0;
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    guest.control().lease_deadline_ns = static_cast<std::uint64_t>(guest.now) + 1000;
    EXPECT_EQ(guest.step(thread, returning(6)), Step::native);
    guest.commit_all();
    guest.control().lease_deadline_ns = static_cast<std::uint64_t>(guest.now) + 1000;
    guest.now += 1000; // it ran out
    send();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
}

TEST_F(OutputRuleTest, CommittedOutputPassesAtOnce) {
    send();
    EXPECT_EQ(guest.step(thread, returning(6)), Step::native);
    EXPECT_EQ(guest.control().waits, 0U);
    EXPECT_EQ(guest.notified, 0U);
}

TEST_F(OutputRuleTest, AnOutputIsARecordThatTheNextOneWaitsFor) {
    send();
    EXPECT_EQ(guest.step(thread, returning(6)), Step::native);
    send();
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
}

TEST_F(OutputRuleTest, ModeTraceNeverWaitsForACommit) {
    follow(TRIPOD_MODE_trace);
    guest.control().commit_seq = 0;
    guest.control().lease_deadline_ns = 0;
    log_one();
    send();
    EXPECT_EQ(guest.step(thread, returning(6)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(OutputRuleTest, GivesWayToOtherThreads) {
    log_one();
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
    guest.commit_all();
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
}

TEST_F(OutputRuleTest, SignalDuringTheYieldComesBackToTheOutput) {
    log_one();
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

TEST_F(OutputRuleTest, ThreadsThatAllWaitDoNotSpin) {
    log_one();
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

TEST_F(OutputRuleTest, CommitBetweenTheLookAndTheSleepIsNotMissed) {
    log_one();
    send();
    // The read of the run queue is the last thing before the vCPU would sleep; a kick then finds it awake, and the
    // next try must pass.
    guest.kernel.memory.after_read = [&](Va, std::uint32_t bytes) {
        if (bytes == 4)
            guest.commit_all();
    };
    guest.step(thread, returning(6));
    guest.kernel.memory.after_read = nullptr;
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
}

TEST_F(OutputRuleTest, KickClearsTheReasonsToWait) {
    log_one();
    send();
    guest.step(thread, never);
    EXPECT_NE(guest.control().waits, 0U);
    guest.kick();
    EXPECT_EQ(guest.control().waits, 0U);
    guest.step(thread, never);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_commit) << "still waiting, so it is said again";
    EXPECT_EQ(guest.notified, 2U);
}

TEST_F(OutputRuleTest, EndOfTheModeLetsAWaiterThrough) {
    log_one();
    send();
    guest.step(thread, never);
    guest.set_mode(TRIPOD_MODE_off);
    EXPECT_FALSE(guest.dom.vcpu0.blocked);
    EXPECT_EQ(guest.run(thread, returning(6)), Step::native);
    EXPECT_TRUE(guest.take().empty());
}

} // namespace
} // namespace tripod::test
