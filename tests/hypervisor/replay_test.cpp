// SPDX-License-Identifier: GPL-2.0-only
/**
 * Modes replay and hold. Promise 2: only the log's head is applied, by the thread that it names. Promise 5: a guest
 * that strays is noted once, and nothing is applied to it afterwards.
 */
#include "fixture.h"

#include <xxhash.h>

namespace tripod::test {
namespace {

class ReplayTest : public HypervisorTest {
  protected:
    void SetUp() override { follow_replay(); }

    Record input(const std::string& bytes, const Thread& who) {
        Record record = Record::call(seq++, who, nr_read, static_cast<std::int64_t>(bytes.size()), sock);
        record.add_segment(TRIPOD_SEG_arg, 1, view(bytes));
        return record;
    }
    Record output(const std::string& bytes, std::int64_t result) {
        Record record = Record::call(seq++, thread, nr_write, result, sock);
        tripod_record head = record.head();
        head.length = bytes.size();
        head.digest = XXH64(bytes.data(), bytes.size(), 0);
        record.set_head(head);
        return record;
    }
    Record accepted(std::int64_t result, unsigned nr, std::uint16_t family = 2, std::uint16_t type = 1) {
        Record record = Record::call(seq++, thread, nr, result, sock);
        tripod_socket end{};
        end.family = family;
        end.type = type;
        record.add_segment(TRIPOD_SEG_socket, 0, {reinterpret_cast<const std::uint8_t*>(&end), sizeof end});
        return record;
    }
    void expect_diverged(unsigned reason, std::uint64_t expected, std::uint64_t found, unsigned nr) {
        EXPECT_EQ(guest->divergence.reason, reason);
        EXPECT_EQ(guest->divergence.expected, expected);
        EXPECT_EQ(guest->divergence.found, found);
        EXPECT_EQ(guest->divergence.tid, thread.tid);
        EXPECT_EQ(guest->divergence.nr, nr);
        EXPECT_EQ(guest.control().unfit, reason);
        EXPECT_GE(guest.notified, 1U);
        // Nothing is applied any more, not even to another thread that asks for what the log has.
        const auto position = guest.control().replay_cons;
        Thread other = guest.add_thread(process, 199);
        guest.feed(input("late", other));
        FakeGuest::call(other, nr_read, {fd(sock), buffer, 10});
        EXPECT_EQ(guest.step(other, never), Step::blocked);
        FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
        EXPECT_EQ(guest.step(thread, never), Step::blocked);
        EXPECT_EQ(guest.control().replay_cons, position);
        guest.current_kernel_sp = thread.kernel_sp;
        guest.kernel.run(thread.task);
        cpu_user_regs regs{};
        tripod_syscall_entry32(&regs); // would be a divergence of its own
        EXPECT_EQ(guest->divergence.reason, reason) << "only the first is noted";
    }
    Step read_call(Thread& who, std::uint64_t bytes = 100) {
        FakeGuest::call(who, nr_read, {fd(sock), buffer, bytes});
        return guest.step(who, never);
    }
    const Va buffer = guest.allocate(0x20000);
};

TEST_F(ReplayTest, InputComesFromTheLog) {
    guest.feed(input("from the primary", thread));
    EXPECT_EQ(read_call(thread), Step::answered);
    EXPECT_EQ(thread.regs.rax, 16U);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site + 2);
    EXPECT_EQ(text(buffer, 16), "from the primary");
    EXPECT_EQ(guest.control().replay_cons, guest.control().replay_prod);
    EXPECT_EQ(guest.control().replay_seq, seq);
}

TEST_F(ReplayTest, EmptyLogMakesTheThreadSleepUntilTheKick) {
    EXPECT_EQ(read_call(thread), Step::blocked);
    EXPECT_NE(guest.dom.vcpu0.pause_flags, 0U) << "deaf to the guest's own events";
    EXPECT_TRUE(guest->recheck.armed);
    EXPECT_GT(guest->recheck.expires, guest.now);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_replay);
    guest.feed(input("x", thread));
    guest.kick();
    EXPECT_EQ(guest.dom.vcpu0.pause_flags, 0U);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(read_call(thread), Step::blocked);
    tripod_recheck(guest.get());
    EXPECT_EQ(guest.dom.vcpu0.pause_flags, 0U);
}

TEST_F(ReplayTest, OrderHoldsAcrossThreads) {
    Thread other = guest.add_thread(process, 102);
    guest.kernel.set_runnable(2);
    guest.feed(input("one", other));
    guest.feed(input("two", thread));
    EXPECT_EQ(read_call(thread), Step::yielded) << "it is the other's turn";
    EXPECT_EQ(guest.seen.back().rax, 24U);
    EXPECT_EQ(read_call(other), Step::answered);
    EXPECT_EQ(text(buffer, 3), "one");
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(text(buffer, 3), "two");
}

TEST_F(ReplayTest, NativeCallsDoNotWait) {
    EXPECT_EQ(guest.make(thread, nr_write, {1, buffer, 3}, returning(3)), Step::native);
    EXPECT_EQ(guest.make(thread, 9, {0, 4096}, returning(0)), Step::native);
}

TEST_F(ReplayTest, OutputIsComparedAndSwallowed) {
    guest.user.poke(buffer, "answer", 6);
    guest.feed(output("answer", 6));
    EXPECT_EQ(guest.make(thread, nr_write, {fd(sock), buffer, 6}, never), Step::answered);
    EXPECT_EQ(thread.regs.rax, 6U);
    guest.feed(output("other", e_again)); // what was not sent needs no comparison
    EXPECT_EQ(guest.make(thread, nr_write, {fd(sock), buffer, 6}, never), Step::answered);
    EXPECT_EQ(static_cast<std::int64_t>(thread.regs.rax), e_again);
}

TEST_F(ReplayTest, OtherOutputBytesDiverge) {
    guest.user.poke(buffer, "Answer", 6);
    const Record logged = output("answer", 6);
    guest.feed(logged);
    guest.make(thread, nr_write, {fd(sock), buffer, 6}, never);
    expect_diverged(TRIPOD_REASON_output, logged.head().digest, XXH64("Answer", 6, 0), nr_write);
}

TEST_F(ReplayTest, OtherOutputLengthDiverges) {
    guest.user.poke(buffer, "answer!", 7);
    guest.feed(output("answer", 6));
    guest.make(thread, nr_write, {fd(sock), buffer, 7}, never);
    expect_diverged(TRIPOD_REASON_length, 6, 7, nr_write);
}

TEST_F(ReplayTest, OtherDescriptorDiverges) {
    const int second = guest.kernel.open_socket(process);
    guest.feed(input("x", thread));
    guest.make(thread, nr_read, {fd(second), buffer, 7}, never);
    expect_diverged(TRIPOD_REASON_descriptor, fd(sock), fd(second), nr_read);
}

TEST_F(ReplayTest, OtherCallDiverges) {
    guest.feed(input("x", thread));
    guest.make(thread, nr_getrandom, {buffer, 7, 0}, never);
    expect_diverged(TRIPOD_REASON_syscall, nr_read, nr_getrandom, nr_getrandom);
}

TEST_F(ReplayTest, MalformedRecordDiverges) {
    Record bad = input("x", thread);
    reinterpret_cast<tripod_segment*>(bad.bytes.data() + sizeof(tripod_record))->length = 1000;
    guest.feed(bad);
    guest.make(thread, nr_read, {fd(sock), buffer, 10}, never);
    expect_diverged(TRIPOD_REASON_record, nr_read, nr_read, nr_read);
}

TEST_F(ReplayTest, RecordOutOfOrderDiverges) {
    seq += 1;
    guest.feed(input("x", thread));
    guest.make(thread, nr_read, {fd(sock), buffer, 10}, never);
    expect_diverged(TRIPOD_REASON_record, seq - 2, 0, nr_read);
}

TEST_F(ReplayTest, AcceptBecomesAShadowSocket) {
    struct {
        unsigned nr;
        std::uint64_t flags, type;
    } const cases[] = {
        {nr_accept, 0x80800, 1}, {nr_accept4, 0x80800, 0x80801}, {nr_accept4, 0, 1}, {nr_accept4, ~0ULL, 0x80801}};
    for (const auto& one : cases) {
        const int fd_number = guest.kernel.lowest_free(process);
        guest.feed(accepted(fd_number, one.nr, 10, 0xff01));
        const std::array<std::uint64_t, 6> args = {fd(sock), 0, 0, one.flags, 5, 6};
        cpu_user_regs given{};
        EXPECT_EQ(guest.make(thread, one.nr, args,
                             [&](cpu_user_regs& regs) {
                                 given = regs;
                                 return guest.kernel.open_socket(process, {.family = 10});
                             }),
                  Step::native);
        EXPECT_EQ(given.rax, nr_socket);
        EXPECT_EQ(given.rdi, 10U);
        EXPECT_EQ(given.rsi, one.type);
        EXPECT_EQ(given.rdx, 0U);
        EXPECT_EQ(thread.regs.rax, fd(fd_number));
        EXPECT_EQ(thread.regs.rdi, args[0]);
        EXPECT_EQ(thread.regs.rsi, args[1]);
        EXPECT_EQ(thread.regs.rdx, args[2]);
        EXPECT_EQ(thread.regs.r10, args[3]);
        EXPECT_EQ(guest.control().replay_cons, guest.control().replay_prod);
    }
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(ReplayTest, InterruptedShadowSocketIsAnAcceptAgain) {
    guest.feed(accepted(3, nr_accept));
    FakeGuest::call(thread, nr_accept, {fd(sock), 0, 0});
    EXPECT_EQ(guest.step(thread,
                         [](cpu_user_regs& regs) {
                             regs.rip -= 2;
                             return static_cast<std::int64_t>(nr_socket);
                         }),
              Step::again);
    EXPECT_EQ(thread.regs.rax, nr_accept);
    EXPECT_EQ(thread.regs.rdi, fd(sock));
    EXPECT_EQ(guest.run(thread, returning(3)), Step::native);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(ReplayTest, FailedAcceptIsAnswered) {
    guest.feed(Record::call(seq++, thread, nr_accept, e_again, sock));
    EXPECT_EQ(guest.make(thread, nr_accept, {fd(sock), 0, 0}, never), Step::answered);
    EXPECT_EQ(static_cast<std::int64_t>(thread.regs.rax), e_again);
}

TEST_F(ReplayTest, ShadowSocketAtAnotherDescriptorDiverges) {
    guest.feed(accepted(7, nr_accept));
    EXPECT_EQ(guest.make(thread, nr_accept, {fd(sock), 0, 0}, returning(8)), Step::native);
    expect_diverged(TRIPOD_REASON_result, 7, 8, nr_accept);
}

TEST_F(ReplayTest, AcceptWithoutItsSocketDiverges) {
    guest.feed(Record::call(seq++, thread, nr_accept, 7, sock));
    guest.make(thread, nr_accept, {fd(sock), 0, 0}, never);
    expect_diverged(TRIPOD_REASON_record, nr_accept, nr_accept, nr_accept);
}

TEST_F(ReplayTest, AcceptWithAMalformedSegmentDiverges) {
    Record bad = accepted(7, nr_accept);
    bad.add_segment(TRIPOD_SEG_arg, 9, view("1234")); // no argument 9
    guest.feed(bad);
    guest.make(thread, nr_accept, {fd(sock), 0, 0}, never);
    expect_diverged(TRIPOD_REASON_record, nr_accept, nr_accept, nr_accept);
}

TEST_F(ReplayTest, CloseAndSocketRunOnBothSidesInOrder) {
    Thread other = guest.add_thread(process, 102);
    guest.feed(Record::call(seq++, thread, nr_close, 0, sock));
    guest.feed(Record::call(seq++, other, nr_socket, 2));
    FakeGuest::call(other, nr_socket, {2, 1, 0});
    EXPECT_EQ(guest.step(other, never), Step::blocked) << "not its turn";
    EXPECT_EQ(guest.make(thread, nr_close, {fd(sock)}, returning(0)), Step::native);
    EXPECT_EQ(guest.run(other, returning(2)), Step::native);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
    EXPECT_EQ(guest.control().replay_seq, seq);
}

TEST_F(ReplayTest, CloseWithAnotherResultDiverges) {
    guest.feed(Record::call(seq++, thread, nr_close, 0, sock));
    guest.make(thread, nr_close, {fd(sock)}, returning(-9));
    expect_diverged(TRIPOD_REASON_result, 0, static_cast<std::uint64_t>(-9), nr_close);
}

TEST_F(ReplayTest, RefusedCallNeedsNoRecord) {
    EXPECT_EQ(guest.make(thread, 425, {8, buffer}, never), Step::answered);
    EXPECT_EQ(static_cast<std::int64_t>(thread.regs.rax), e_nosys);
}

TEST_F(ReplayTest, HoldStopsEverything) {
    guest.feed(input("x", thread));
    guest.set_mode(TRIPOD_MODE_hold);
    EXPECT_EQ(read_call(thread), Step::blocked);
    FakeGuest::call(thread, nr_close, {fd(sock)});
    EXPECT_EQ(guest.step(thread, never), Step::blocked);
    EXPECT_NE(guest.control().replay_cons, guest.control().replay_prod);
}

TEST_F(ReplayTest, HoldAppliesNoAnnouncement) {
    const Process late = guest.add_process(300);
    guest.kernel.open_socket(late);
    Thread other = guest.add_thread(late, 300);
    Record announced = Record::call(seq++, other, 0, 0, 0);
    tripod_record head = announced.head();
    head.type = TRIPOD_REC_socket;
    announced.set_head(head);
    tripod_socket end{};
    end.family = 2;
    end.local_port = 6379;
    end.remote_port = 40000;
    announced.add_segment(TRIPOD_SEG_socket, 0, {reinterpret_cast<const std::uint8_t*>(&end), sizeof end});
    guest.feed(announced);
    guest.set_mode(TRIPOD_MODE_hold);
    const auto position = guest.control().replay_cons;
    FakeGuest::call(other, nr_clock_gettime, {1, buffer});
    EXPECT_EQ(guest.step(other, never), Step::blocked);
    EXPECT_EQ(guest.control().replay_cons, position);
}

TEST_F(ReplayTest, AnnouncedSocketsMustBeThere) {
    for (const bool same : {true, false}) {
        guest.set_mode(TRIPOD_MODE_replay, 1);
        Record announced = Record::call(1, thread, 0, 0, sock);
        tripod_record head = announced.head();
        head.type = TRIPOD_REC_socket;
        announced.set_head(head);
        tripod_socket end{};
        end.family = 2;
        end.local_port = 6379;
        end.remote_port = same ? 40000 : 40001;
        announced.add_segment(TRIPOD_SEG_socket, 0, {reinterpret_cast<const std::uint8_t*>(&end), sizeof end});
        guest.feed(announced);
        FakeGuest::call(thread, nr_clock_gettime, {1, buffer});
        EXPECT_EQ(guest.step(thread, never), Step::blocked);
        EXPECT_EQ(guest->divergence.reason, same ? TRIPOD_REASON_none : TRIPOD_REASON_socket);
        EXPECT_EQ(guest->divergence.expected, same ? 0U : 40001U);
        EXPECT_EQ(guest->divergence.found, same ? 0U : 40000U);
        EXPECT_EQ(guest.control().replay_seq, same ? 2U : 1U);
    }
}

TEST_F(ReplayTest, ReapedChildIsForgottenByTheGuestKernelToo) {
    const std::uint32_t status = 0x700;
    const auto reaped = [&](std::int64_t result) {
        Record record = Record::call(seq++, thread, nr_wait4, result);
        if (result > 0) {
            record.add_segment(TRIPOD_SEG_arg, 1, {reinterpret_cast<const std::uint8_t*>(&status), sizeof status});
            record.add_segment(TRIPOD_SEG_arg, 3, view(std::string(144, 'u')));
        }
        return record;
    };
    guest.feed(reaped(0)); // WNOHANG, none has died
    EXPECT_EQ(guest.make(thread, nr_wait4, {UINT64_MAX, buffer, 1, buffer + 64}, never), Step::answered);

    guest.feed(reaped(777));
    FakeGuest::call(thread, nr_wait4, {UINT64_MAX, buffer, 3, buffer + 64});
    EXPECT_EQ(guest.step(thread,
                         [&](cpu_user_regs& regs) {
                             EXPECT_EQ(regs.rax, nr_wait4);
                             EXPECT_EQ(regs.rdi, 777U);
                             EXPECT_EQ(regs.rsi, 0U) << "the log says it";
                             EXPECT_EQ(regs.rdx, 2U) << "it may not be dead yet: no WNOHANG";
                             EXPECT_EQ(regs.r10, 0U);
                             return e_intr; // a signal of the backup's own
                         }),
              Step::again);
    EXPECT_EQ(guest.run(thread, returning(777)), Step::native);
    EXPECT_EQ(thread.regs.rax, 777U);
    EXPECT_EQ(thread.regs.rdi, UINT64_MAX);
    EXPECT_EQ(thread.regs.rdx, 3U);
    EXPECT_EQ(guest.user.get<std::uint32_t>(buffer), status);
    EXPECT_EQ(text(buffer + 64, 144), std::string(144, 'u'));
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
    EXPECT_EQ(guest.control().replay_seq, seq);
}

TEST_F(ReplayTest, ChildWithAnotherNumberDiverges) {
    guest.feed(Record::call(seq++, thread, nr_wait4, 778));
    guest.make(thread, nr_wait4, {UINT64_MAX, 0, 1, 0}, returning(-10));
    expect_diverged(TRIPOD_REASON_result, 778, static_cast<std::uint64_t>(-10), nr_wait4);
}

/** A backup that asks for less than the log delivers has strayed; nothing is written beyond what it asked for. */
class CapacityTest : public ReplayTest {
  protected:
    void SetUp() override {
        follow_replay();
        guest.user.fill(buffer, 0x1000, 0xee);
    }
    Record delivers(unsigned nr, std::int64_t result,
                    std::initializer_list<std::tuple<unsigned, unsigned, std::uint64_t>> segments) {
        Record record = Record::call(seq++, thread, nr, result, tripod_call(nr)->fd_arg >= 0 ? sock : -1);
        for (const auto& [kind, arg, bytes] : segments)
            record.add_segment(kind, arg, view(std::string(bytes, 'x')));
        return record;
    }
    void expect_untouched(Va from, Va to) {
        EXPECT_EQ(guest.user.bytes(from, to - from), std::vector<std::uint8_t>(to - from, 0xee));
    }
    void expect_too_small(std::uint64_t expected, std::uint64_t found) {
        EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_capacity);
        EXPECT_EQ(guest->divergence.expected, expected);
        EXPECT_EQ(guest->divergence.found, found);
        EXPECT_EQ(guest.control().unfit, TRIPOD_REASON_capacity);
    }
};

TEST_F(CapacityTest, ReadOfFewerBytes) {
    guest.feed(delivers(nr_read, 100, {{TRIPOD_SEG_arg, 1, 100}}));
    EXPECT_EQ(guest.make(thread, nr_read, {fd(sock), buffer, 16}, never), Step::blocked);
    expect_untouched(buffer, buffer + 200);
    expect_too_small(100, 16);
}

TEST_F(CapacityTest, ReadOfAsManyBytesAndMore) {
    for (const std::uint64_t room : {std::uint64_t{100}, std::uint64_t{101}, UINT64_MAX}) {
        guest.feed(delivers(nr_read, 100, {{TRIPOD_SEG_arg, 1, 100}}));
        EXPECT_EQ(guest.make(thread, nr_read, {fd(sock), buffer, room}, never), Step::answered) << room;
    }
}

TEST_F(CapacityTest, CountsOfElements) {
    guest.feed(delivers(nr_epoll_wait, 3, {{TRIPOD_SEG_arg, 1, 36}}));
    guest.make(thread, nr_epoll_wait, {5, buffer, 2, 0}, never);
    expect_too_small(36, 24);
    expect_untouched(buffer, buffer + 100);
}

TEST_F(CapacityTest, PolledDescriptors) {
    guest.feed(delivers(nr_poll, 3, {{TRIPOD_SEG_arg, 0, 24}}));
    guest.make(thread, nr_poll, {buffer, 2, 0}, never);
    expect_too_small(24, 16);
    expect_untouched(buffer, buffer + 100);
}

TEST_F(CapacityTest, DescriptorSets) {
    guest.feed(delivers(nr_select, 3, {{TRIPOD_SEG_arg, 1, 16}}));
    guest.make(thread, nr_select, {64, buffer, 0, 0, 0}, never);
    expect_too_small(16, 8);
    expect_untouched(buffer, buffer + 100);
}

TEST_F(CapacityTest, StructureOfAnotherSize) {
    guest.feed(delivers(nr_clock_gettime, 0, {{TRIPOD_SEG_arg, 1, 144}}));
    guest.make(thread, nr_clock_gettime, {1, buffer}, never);
    expect_too_small(144, 16);
}

TEST_F(CapacityTest, VectorOfFewerBytes) {
    const Va iov = guest.allocate(32);
    guest.user.put(iov, std::array<std::uint64_t, 4>{buffer, 4, buffer + 100, 5});
    guest.feed(delivers(nr_readv, 10, {{TRIPOD_SEG_iov, 1, 10}}));
    guest.make(thread, nr_readv, {fd(sock), iov, 2}, never);
    expect_too_small(10, 9);
    expect_untouched(buffer + 4, buffer + 100);
    expect_untouched(buffer + 105, buffer + 200);
}

TEST_F(CapacityTest, AddressBuffer) {
    const Va length = guest.allocate_with(std::uint32_t{8});
    guest.feed(delivers(nr_getsockopt, 0, {{TRIPOD_SEG_arg, 3, 9}, {TRIPOD_SEG_arg, 4, 4}}));
    guest.make(thread, nr_getsockopt, {fd(sock), 1, 4, buffer, length}, never);
    expect_too_small(9, 8);
    expect_untouched(buffer, buffer + 100);
    EXPECT_EQ(guest.user.get<std::uint32_t>(length), 8U);
}

TEST_F(CapacityTest, MessageNameAndControl) {
    const Va iov = guest.allocate(16), header = guest.allocate(64);
    guest.user.put(iov, std::array<std::uint64_t, 2>{buffer + 1000, 100});
    const tripod_msghdr given{.namelen = 16, .flags = 0, .controllen = 24};
    const auto message = [&](std::uint64_t name, std::uint64_t control) {
        Record record = Record::call(seq++, thread, nr_recvmsg, 6, sock);
        record.add_segment(TRIPOD_SEG_msghdr, 0, {reinterpret_cast<const std::uint8_t*>(&given), sizeof given});
        record.add_segment(TRIPOD_SEG_name, 1, view(std::string(name, 'n')));
        record.add_segment(TRIPOD_SEG_control, 1, view(std::string(control, 'c')));
        record.add_segment(TRIPOD_SEG_iov, 1, view("abcdef"));
        guest.feed(record);
        guest.user.put(header, std::array<std::uint64_t, 7>{buffer, 8, iov, 1, buffer + 500, 24, 0});
        return guest.make(thread, nr_recvmsg, {fd(sock), header, 0}, never);
    };
    EXPECT_EQ(message(8, 24), Step::answered) << "the name's full length is told even where it was cut";
    EXPECT_EQ(guest.user.get<std::uint32_t>(header + 8), 16U);
    EXPECT_EQ(text(buffer, 8), std::string(8, 'n'));
    expect_untouched(buffer + 8, buffer + 500);
    EXPECT_EQ(message(16, 24), Step::blocked);
    expect_too_small(16, 8);
    expect_untouched(buffer + 8, buffer + 500);
    EXPECT_EQ(guest.user.get<std::uint32_t>(header + 8), 8U);

    seq = 1;
    follow_replay();
    EXPECT_EQ(message(8, 25), Step::blocked);
    expect_too_small(25, 24);
}

TEST_F(CapacityTest, ArgumentThatTheCallGivesNothingAt) {
    guest.feed(delivers(nr_read, 4, {{TRIPOD_SEG_arg, 2, 4}}));
    guest.make(thread, nr_read, {fd(sock), buffer, buffer}, never);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_record);
    expect_untouched(buffer, buffer + 100);
}

TEST_F(ReplayTest, GoingLiveLetsAllWaitersFallThrough) {
    Thread other = guest.add_thread(process, 102);
    guest.feed(input("x", other));
    EXPECT_EQ(read_call(thread), Step::blocked);
    guest.kernel.set_runnable(2);
    FakeGuest::call(other, nr_close, {1});
    guest.run(other, returning(0));
    EXPECT_EQ(read_call(other), Step::answered);
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(guest.dom.vcpu0.pause_flags, 0U);
    EXPECT_EQ(guest.run(thread, giving("real")), Step::native);
    EXPECT_EQ(guest.make(thread, nr_write, {fd(sock), buffer, 4}, returning(4)), Step::native);
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(ReplayTest, ThreadThatYieldedWhenTheModeBecameLiveStillMakesItsCall) {
    guest.kernel.set_runnable(2);
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    thread.regs.rip += 2;
    guest.current_kernel_sp = thread.kernel_sp;
    ASSERT_FALSE(tripod_syscall_entry(&thread.regs));
    ASSERT_EQ(thread.regs.rax, 24U);
    guest.set_mode(TRIPOD_MODE_live);
    thread.regs.rax = 0;
    guest.iret(thread);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(guest.run(thread, giving("real")), Step::native);
    EXPECT_EQ(thread.regs.rax, 4U);
}

TEST_F(ReplayTest, LiveIsReachedFromReplayOnly) {
    guest.set_mode(TRIPOD_MODE_off);
    EXPECT_EQ(tripod_set_mode(guest.get(), TRIPOD_MODE_live, 0), -EINVAL);
    EXPECT_EQ(tripod_set_mode(guest.get(), 99, 0), -EINVAL);
    guest->have_profile = false;
    for (const auto mode : {TRIPOD_MODE_record, TRIPOD_MODE_trace, TRIPOD_MODE_replay})
        EXPECT_EQ(tripod_set_mode(guest.get(), mode, 0), -ENODATA);
    EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
}

} // namespace
} // namespace tripod::test
