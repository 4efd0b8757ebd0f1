// SPDX-License-Identifier: GPL-2.0-only
/** Which processes are followed, and the announcement of the sockets that they have. */
#include "fixture.h"

namespace tripod::test {
namespace {

class ProcessTest : public HypervisorTest {
  protected:
    Step touch(Thread& who) { return guest.make(who, nr_clock_gettime, {1, buffer}, returning(0)); }
    void fill_ring(std::uint32_t leave) {
        for (;;) {
            tripod_record* record =
                tripod_record_begin(guest.get(), sizeof(tripod_record), TRIPOD_REC_call, 1, 1, -1);
            if (record == nullptr || !tripod_ring_has_room(guest.get(), sizeof(tripod_record) + leave))
                return;
            tripod_ring_publish(guest.get(), record);
        }
    }
    const Va buffer = guest.allocate(4096);
};

TEST_F(ProcessTest, SocketsAreAnnouncedOnceBeforeTheFirstCall) {
    const int second = guest.kernel.open_socket(process, {.family = 10, .remote_port = 555});
    guest.kernel.open_socket(process, {.family = 1});
    guest.set_mode(TRIPOD_MODE_trace, 30);
    touch(thread);
    touch(thread);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 4U);
    for (std::size_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(records[i].head().seq, 30 + i);
        EXPECT_EQ(records[i].head().tid, thread.tid);
        EXPECT_EQ(records[i].head().type, i < 2 ? TRIPOD_REC_socket : TRIPOD_REC_call);
    }
    EXPECT_EQ(records[0].head().fd, sock);
    EXPECT_EQ(records[1].head().fd, second);
    tripod_socket end;
    std::memcpy(&end, records[1].segments().at(0).bytes.data(), sizeof end);
    EXPECT_EQ(end.family, 10);
    EXPECT_EQ(end.local_port, 6379);
    EXPECT_EQ(end.remote_port, 555);
    EXPECT_EQ(end.state, 1);
}

TEST_F(ProcessTest, AnnouncementGoesOnAfterAFullRing) {
    std::vector<int> sockets = {sock};
    for (int i = 0; i < 5; ++i)
        sockets.push_back(guest.kernel.open_socket(process));
    guest.set_mode(TRIPOD_MODE_trace, 1);
    fill_ring(2 * (sizeof(tripod_record) + sizeof(tripod_segment) + sizeof(tripod_socket)));
    const std::uint64_t filled = guest->record_seq - 1;
    FakeGuest::call(thread, nr_clock_gettime, {1, buffer});
    EXPECT_EQ(guest.run(thread, returning(0)), Step::blocked);
    EXPECT_EQ(guest.control().waits, TRIPOD_WAIT_space);
    EXPECT_GT(guest->record_seq, filled + 1) << "the test meant some to fit";
    EXPECT_LT(guest->record_seq, filled + 1 + sockets.size());
    auto records = guest.take();
    guest.kick();
    EXPECT_EQ(guest.run(thread, returning(0)), Step::native);
    for (const Record& record : guest.take())
        records.push_back(record);
    ASSERT_EQ(records.size(), filled + sockets.size() + 1);
    for (std::size_t i = 0; i < sockets.size(); ++i)
        EXPECT_EQ(records[filled + i].head().fd, sockets[i]);
    EXPECT_EQ(records.back().head().nr, nr_clock_gettime);
}

TEST_F(ProcessTest, ProcessWithoutNetworkIsLeftAlone) {
    const Process plain = guest.add_process(300);
    Thread other = guest.add_thread(plain, 300);
    guest.kernel.open_regular(plain);
    const std::uint64_t proc = fd(guest.kernel.open_procfs(plain));
    guest.set_mode(TRIPOD_MODE_trace);
    touch(other);
    guest.make(other, nr_read, {proc, buffer, 4}, giving("x"));
    guest.make(other, nr_socket, {1, 1, 0}, returning(3));
    EXPECT_TRUE(guest.take().empty());

    // It is given a socket, as by SCM_RIGHTS: seen at the first use.
    const std::uint64_t got = fd(guest.kernel.open_socket(plain));
    guest.make(other, nr_read, {got, buffer, 4}, giving("net"));
    auto records = guest.take();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].head().type, TRIPOD_REC_socket);
    EXPECT_EQ(records[0].head().fd, static_cast<int>(got));
    EXPECT_EQ(records[1].head().nr, nr_read);
    touch(other);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(ProcessTest, ProcessThatMakesASocketIsFollowedFromThenOn) {
    const Process plain = guest.add_process(300);
    Thread other = guest.add_thread(plain, 300);
    guest.set_mode(TRIPOD_MODE_trace);
    touch(other);
    EXPECT_TRUE(guest.take().empty());
    guest.make(other, nr_socket, {10, 1, 0}, [&](cpu_user_regs&) { return guest.kernel.open_socket(plain); });
    touch(other);
    EXPECT_EQ(guest.take().size(), 2U);
}

TEST_F(ProcessTest, DescriptorsAreLookedAtInPieces) {
    const Process large = guest.add_process(300, 4000);
    Thread other = guest.add_thread(large, 300);
    const int far = guest.kernel.move(large, guest.kernel.open_socket(large), 3999);
    guest.set_mode(TRIPOD_MODE_trace);
    FakeGuest::call(other, nr_clock_gettime, {1, buffer});
    unsigned reads = 0, most = 0, tries = 0;
    guest.kernel.memory.after_read = [&](Va, std::uint32_t) { ++reads; };
    Step now_at = Step::again;
    while (now_at == Step::again && tries < 100) {
        reads = 0;
        now_at = guest.step(other, returning(0));
        most = std::max(most, reads);
        ++tries;
    }
    guest.kernel.memory.after_read = nullptr;
    EXPECT_EQ(now_at, Step::native);
    EXPECT_GT(tries, 20U);
    EXPECT_LT(most, 1000U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].head().fd, far);
}

TEST_F(ProcessTest, SocketBeyondWhatIsLookedAtIsAnnouncedAtItsFirstUse) {
    const Process large = guest.add_process(300, 8192);
    Thread other = guest.add_thread(large, 300);
    const int far = guest.kernel.move(large, guest.kernel.open_socket(large), 5000);
    guest.set_mode(TRIPOD_MODE_trace);
    touch(other);
    EXPECT_TRUE(guest.take().empty());
    const int near = guest.kernel.open_socket(large); // handed over meanwhile
    guest.make(other, nr_read, {fd(far), buffer, 4}, giving("net"));
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 3U);
    EXPECT_EQ(records[0].head().type, TRIPOD_REC_socket);
    EXPECT_EQ(records[0].head().fd, near);
    EXPECT_EQ(records[1].head().type, TRIPOD_REC_socket);
    EXPECT_EQ(records[1].head().fd, far);
    EXPECT_EQ(records[2].head().nr, nr_read);

    // It is followed now, and not looked at again.
    unsigned reads = 0;
    guest.kernel.memory.after_read = [&](Va, std::uint32_t) { ++reads; };
    guest.make(other, nr_read, {fd(far), buffer, 4}, giving("net"));
    guest.kernel.memory.after_read = nullptr;
    EXPECT_LT(reads, 100U);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(ProcessTest, ThreadsOfAProcessShareWhatIsKnownOfIt) {
    Thread second = guest.add_thread(process, 102);
    guest.set_mode(TRIPOD_MODE_trace);
    touch(thread);
    guest.take();
    touch(second);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].head().tid, 102U);
}

TEST_F(ProcessTest, IgnoredProcessesMakeRoomForOthers) {
    guest.set_mode(TRIPOD_MODE_trace);
    touch(thread);
    for (std::uint32_t pid = 1000; pid < 1000 + 3 * TRIPOD_MAX_PROCESSES; ++pid) {
        Thread other = guest.add_thread(guest.add_process(pid), pid);
        touch(other);
    }
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
    guest.take();
    touch(thread);
    EXPECT_EQ(guest.take().size(), 1U) << "a followed process is not forgotten, nor announced again";
}

TEST_F(ProcessTest, CompatProcessesMakeRoomForOthers) {
    guest.set_mode(TRIPOD_MODE_trace);
    for (std::uint32_t pid = 1000; pid < 1000 + TRIPOD_MAX_PROCESSES; ++pid) {
        const Thread other = guest.add_thread(guest.add_process(pid), pid);
        guest.kernel.run(other.task);
        cpu_user_regs regs{};
        EXPECT_FALSE(tripod_syscall_entry32(&regs));
    }
    touch(thread);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(ProcessTest, TooManyFollowedProcessesEndTheProtection) {
    guest.set_mode(TRIPOD_MODE_trace);
    for (std::uint32_t pid = 1000; pid <= 1000 + TRIPOD_MAX_PROCESSES; ++pid) {
        EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
        const Process one = guest.add_process(pid);
        guest.kernel.open_socket(one);
        Thread other = guest.add_thread(one, pid);
        EXPECT_EQ(touch(other), Step::native);
    }
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_many);
    EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
}

TEST_F(ProcessTest, ChildrenThatEndedMakeRoomForOthers) {
    enum class End { exits_group, exits_alone, killed, killed_and_reused };
    for (const End end : {End::exits_group, End::exits_alone, End::killed, End::killed_and_reused}) {
        guest.set_mode(TRIPOD_MODE_trace);
        touch(thread);
        for (std::uint32_t pid = 1000; pid < 1000 + 3 * TRIPOD_MAX_PROCESSES; ++pid) {
            const Process child = guest.add_process(pid);
            guest.kernel.open_socket(child);
            Thread only = guest.add_thread(child, pid);
            ASSERT_EQ(touch(only), Step::native);
            guest.take();
            if (end == End::exits_group || end == End::exits_alone)
                guest.make(only, end == End::exits_group ? 231 : 60, {0}, returning(0));
            else if (end == End::killed)
                guest.kernel.set_state(only.task, 0x80);
            else
                guest.kernel.memory.put(only.task + FakeKernel::profile().task_pid, pid + 5000);
        }
        EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none) << static_cast<int>(end);
        touch(thread);
        EXPECT_EQ(guest.take().size(), 1U) << "one that lives is not forgotten, nor announced again";
    }
}

TEST_F(ProcessTest, ProcessThatGoesOnIsNotForgotten) {
    // Its first thread ended, or one began to end the process and another came first.
    Thread first = guest.add_thread(process, 100), second = guest.add_thread(process, 102);
    guest.set_mode(TRIPOD_MODE_trace);
    touch(first);
    touch(second);
    guest.make(first, 60, {0}, returning(0));
    guest.kernel.set_state(first.task, 0x80);
    guest.make(second, 231, {0}, returning(0));
    touch(second);
    for (std::uint32_t pid = 1000; pid < 1000 + TRIPOD_MAX_PROCESSES - 1; ++pid) {
        const Process one = guest.add_process(pid);
        guest.kernel.open_socket(one);
        Thread other = guest.add_thread(one, pid);
        touch(other);
    }
    guest.take();
    touch(second);
    EXPECT_EQ(guest.take().size(), 1U);
    Thread last = guest.add_thread(guest.add_process(5000), 5000);
    touch(last);
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_many);
}

TEST_F(ProcessTest, CallsOfAThreadThatEndsAreForgotten) {
    follow();
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    guest.step(thread, [&](cpu_user_regs& regs) {
        regs.rip = 0x500000; // to a handler, which ends the thread
        regs.rsp -= 1024;
        return std::int64_t{0};
    });
    EXPECT_EQ(guest->pending_count, 1U);
    guest.make(thread, 60, {0}, returning(0));
    EXPECT_EQ(guest->pending_count, 0U);
}

TEST_F(ProcessTest, ThreadsThatWereKilledMakeRoomForOthers) {
    follow();
    for (std::uint32_t i = 0; i < TRIPOD_MAX_PENDING + 10; ++i) {
        Thread one = guest.add_thread(process, 2000 + i);
        FakeGuest::call(one, nr_read, {fd(sock), buffer, 10});
        guest.step(one, [&](cpu_user_regs& regs) {
            regs.rip = 0x500000;
            return std::int64_t{0};
        });
        guest.kernel.set_state(one.task, 0x80);
    }
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

/** A child of a followed process on a backup: its connections are shadow sockets. */
TEST_F(ProcessTest, ChildOnABackupHasShadowSockets) {
    struct {
        tripod_socket logged;
        Socket found;
        unsigned reason;
        std::uint64_t expected, actual;
    } const cases[] = {
        {{2, 1, 1, 6379, 40000, {}, {}, {}}, {.state = 7, .local_port = 0, .remote_port = 0}, 0, 0, 0},
        {{2, 1, 1, 6379, 40000, {}, {}, {}}, {}, 0, 0, 0},
        {{2, 1, 10, 6379, 0, {}, {}, {}}, {.state = 10, .remote_port = 0}, 0, 0, 0},
        {{2, 1, 1, 5555, 80, {}, {}, {}}, {.state = 7, .local_port = 5555, .remote_port = 0}, 0, 0, 0},
        {{2, 1, 1, 6379, 40000, {}, {}, {}}, {.remote_port = 40001}, TRIPOD_REASON_socket, 40000, 40001},
        {{2, 1, 10, 6379, 0, {}, {}, {}}, {.remote_port = 40001}, TRIPOD_REASON_socket, 0, 40001},
        {{2, 1, 10, 6379, 0, {}, {}, {}}, {.local_port = 6380, .remote_port = 0}, TRIPOD_REASON_socket, 6379, 6380},
        {{10, 1, 1, 6379, 40000, {}, {}, {}}, {.local_port = 0, .remote_port = 0}, TRIPOD_REASON_socket, 40000, 0},
    };
    std::uint32_t pid = 600;
    for (const auto& one : cases) {
        const Process child = guest.add_process(++pid);
        Thread only = guest.add_thread(child, pid);
        const int number = guest.kernel.open_socket(child, one.found);
        guest.set_mode(TRIPOD_MODE_replay, 1);
        Record announced = Record::call(1, only, 0, 0, number);
        tripod_record head = announced.head();
        head.type = TRIPOD_REC_socket;
        announced.set_head(head);
        announced.add_segment(TRIPOD_SEG_socket, 0,
                              {reinterpret_cast<const std::uint8_t*>(&one.logged), sizeof one.logged});
        guest.feed(announced);
        FakeGuest::call(only, nr_clock_gettime, {1, buffer});
        EXPECT_EQ(guest.step(only, never), Step::blocked);
        EXPECT_EQ(guest->divergence.reason, one.reason) << pid;
        EXPECT_EQ(guest->divergence.expected, one.expected) << pid;
        EXPECT_EQ(guest->divergence.found, one.actual) << pid;
        EXPECT_EQ(guest.control().replay_seq, one.reason == 0 ? 2U : 1U) << pid;
    }
}

} // namespace
} // namespace tripod::test
