// SPDX-License-Identifier: Apache-2.0
//
// Record ring -> pump -> log -> pump -> replay ring, with a log played by the test: it commits, loses leaderships
// and runs full when told to.
#include <deque>
#include <random>

#include <gtest/gtest.h>

#include "entry_of.h"
#include "fake_xen.h"
#include "replicate/backup_pump.h"
#include "replicate/primary_pump.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;
using testing::entry_of;
using testing::FakeChannel;
using testing::FakeGate;
using testing::FakePages;
using testing::numbered_read;

struct FakeLog final : replicate::Log {
    Proposed propose(std::span<const std::byte> entry) override {
        if (!leads)
            return Proposed::not_leader;
        if (proposed.size() >= room)
            return Proposed::full;
        proposed.emplace_back(entry.begin(), entry.end());
        return Proposed::yes;
    }
    std::span<std::byte> reserve(std::size_t bytes) override {
        if (!leads || proposed.size() >= room)
            return {};
        reserved.assign(bytes, {});
        return reserved;
    }
    Proposed propose_reserved() override { return propose(reserved); }
    bool leading() const override { return leads; }
    std::chrono::nanoseconds lease_deadline() const override { return lease; }

    bool leads = true;
    size_t room = 1000;
    std::chrono::nanoseconds lease{};
    std::deque<std::vector<std::byte>> proposed; // not committed yet
    std::vector<std::byte> reserved;
};

class Pumps : public ::testing::Test {
  protected:
    static constexpr size_t ring_bytes = 256 * 1024;

    Pumps() {
        primary.guard();
        log.lease = 1h;
        backup.attach(backup_pages.memory(), backup_channel, 0);
    }

    // Commits the oldest `count` entries: both pumps are told, the backup as often as it asks to be.
    void commit(size_t count) {
        for (size_t i = 0; i < count && !log.proposed.empty(); ++i) {
            const auto entry = std::move(log.proposed.front());
            log.proposed.pop_front();
            ++index;
            ASSERT_TRUE(primary.on_commit(rdma_paxos::Index(index), {}, entry));
            while (!backup.on_commit(rdma_paxos::Index(index), {}, entry))
                apply_all();
        }
    }
    void apply_all() {
        for (auto record = backup_pages.apply(); !record.empty(); record = backup_pages.apply())
            applied.push_back(std::move(record));
    }
    void log_reads(size_t count, size_t payload_bytes) {
        for (size_t i = 0; i < count; ++i) {
            logged.push_back(numbered_read(logged.size(), payload_bytes));
            ASSERT_TRUE(primary_pages.log(logged.back()));
        }
    }
    // Long enough for records to be proposed that no frame waits for.
    void step() {
        for (int i = 0; i < 2; ++i)
            primary.step(log, now += replicate::PrimaryPump::drain_interval);
    }
    void frames(uint64_t count) {
        gate.arrived += count;
        primary.notice_frames();
    }
    void look() { primary.step(log, now += 1us); }

    FakePages primary_pages{ring_bytes}, backup_pages{ring_bytes};
    FakeChannel primary_channel, backup_channel;
    FakeGate gate;
    replicate::PrimaryPump primary{primary_pages.memory(), primary_channel, gate, {.frames = 100}};
    replicate::BackupPump backup{2};
    FakeLog log, backup_log;
    uint64_t index = 0;
    std::chrono::nanoseconds now{1s};
    std::vector<std::vector<std::byte>> logged, applied;
};

TEST_F(Pumps, EveryRecordArrivesOnceInOrderAcrossManyWraps) {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        log_reads(random() % 8, random() % 5000);
        step();
        commit(random() % 4);
        if (random() % 3 == 0)
            apply_all();
        while (primary_pages.control.record_prod - primary_pages.control.record_cons > ring_bytes / 2) {
            step();
            commit(1);
        }
    }
    while (primary.commit_seq() != logged.size()) {
        step();
        commit(1);
    }
    apply_all();
    EXPECT_GT(primary_pages.control.record_prod, 10 * ring_bytes);
    EXPECT_EQ(applied, logged);
    EXPECT_EQ(primary.counters().records, logged.size());
    EXPECT_FALSE(backup.broken());
}

TEST_F(Pumps, ARecordKeepsItsPlaceInTheRingUntilItIsCommitted) {
    log_reads(5, 100);
    step();
    EXPECT_EQ(log.proposed.size(), 1u);
    EXPECT_EQ(primary_pages.control.record_cons, 0u) << "proposed is not committed";
    EXPECT_EQ(primary.commit_seq(), 0u);
    commit(1);
    EXPECT_EQ(primary_pages.control.record_cons, primary_pages.control.record_prod);
    EXPECT_EQ(primary.commit_seq(), 5u);
}

TEST_F(Pumps, WhatGathersWhileEntriesAreOnTheirWayGoesInOne) {
    for (size_t i = 0; i < replicate::PrimaryPump::in_flight_max + 3; ++i) {
        log_reads(1, 100);
        frames(1);
        look();
    }
    EXPECT_EQ(log.proposed.size(), replicate::PrimaryPump::in_flight_max);
    commit(1);
    look();
    EXPECT_EQ(log.proposed.size(), replicate::PrimaryPump::in_flight_max);
    EXPECT_EQ(replicate::decode_header(log.proposed.back())->count, 3u);
    commit(10);
    look();
    EXPECT_EQ(gate.left, gate.arrived);
    apply_all();
    EXPECT_EQ(applied, logged);
}

TEST_F(Pumps, ABatchIsClosedWhenItIsFull) {
    log_reads(4, 60'000);
    primary.step(log, now += 1ms); // records are there
    step();
    ASSERT_EQ(log.proposed.size(), 2u);
    for (const auto& entry : log.proposed)
        EXPECT_LE(entry.size(), replicate::PrimaryPump::entry_bytes_full + 64 * 1024);
}

TEST_F(Pumps, AFullLogHoldsTheRecordsInTheRing) {
    log.room = 1;
    log_reads(1, 100);
    step();
    log_reads(3, 100);
    step();
    EXPECT_NE(primary_pages.control.record_cons, primary_pages.control.record_prod);
    EXPECT_LE(primary.next_deadline(now), now + replicate::PrimaryPump::drain_interval) << "it must try again";
    commit(1);
    step();
    commit(1);
    step();
    commit(1);
    apply_all();
    EXPECT_EQ(applied, logged);
}

TEST_F(Pumps, WhoWaitsForSpaceIsWokenByACommitAndNothingElse) {
    log_reads(1, 100);
    step();
    primary_pages.control.waits = TRIPOD_WAIT_space;
    look();
    EXPECT_EQ(primary_channel.kicks, 0) << "proposed frees no space";
    commit(1);
    look();
    EXPECT_EQ(primary_channel.kicks, 1);
    look();
    EXPECT_EQ(primary_channel.kicks, 1) << "nothing has changed since";
    now += replicate::PrimaryPump::rekick_interval;
    look();
    EXPECT_EQ(primary_channel.kicks, 2) << "a lost wake-up is repaired";
}

TEST_F(Pumps, XenIsToldWhenToWakeUs) {
    look();
    EXPECT_EQ(primary_pages.control.notify_seq, 1u) << "idle: at the next record";
    EXPECT_EQ(primary.next_deadline(now), std::chrono::nanoseconds::max());
    log_reads(3, 100);
    look();
    EXPECT_TRUE(log.proposed.empty()) << "nobody waits for them, and more may come";
    EXPECT_EQ(primary_pages.control.notify_seq, 3 + replicate::PrimaryPump::notify_records);
    EXPECT_EQ(primary.next_deadline(now), now + replicate::PrimaryPump::drain_interval);
    primary.step(log, now += replicate::PrimaryPump::drain_interval);
    EXPECT_EQ(log.proposed.size(), 1u);
    primary.step(log, now += replicate::PrimaryPump::drain_interval);
    EXPECT_EQ(primary_pages.control.notify_seq, 4u) << "idle again";
    EXPECT_EQ(primary.next_deadline(now), std::chrono::nanoseconds::max());
}

// ---------------------------------------------------------------- the gate

TEST_F(Pumps, AFrameLeavesWhenAllThatWasLoggedBeforeItIsCommitted) {
    frames(1);
    look();
    EXPECT_EQ(gate.left, 1u) << "it depends on nothing";
    log_reads(2, 10);
    frames(2);
    look();
    EXPECT_EQ(log.proposed.size(), 1u) << "a frame waits: no time is lost";
    EXPECT_EQ(gate.left, 1u) << "proposed is not committed";
    log_reads(1, 10);
    frames(1);
    look();
    commit(1);
    look();
    EXPECT_EQ(gate.left, 3u) << "the fourth saw one record more";
    commit(1);
    look();
    EXPECT_EQ(gate.left, 4u);
    EXPECT_EQ(gate.releases, 3);
}

TEST_F(Pumps, NothingLeavesWithoutALease) {
    log.lease = now;
    frames(3);
    step();
    EXPECT_EQ(gate.left, 0u);
    EXPECT_TRUE(primary.silent(log, now));
    log.lease = now + 1h;
    gate.clock = now + 2h; // it ran out between our look and the last moment
    look();
    EXPECT_EQ(gate.left, 0u);
    gate.clock = {};
    look();
    EXPECT_EQ(gate.left, 3u) << "what was held is not lost";
}

TEST_F(Pumps, ALeaseThatEndsAnywhereBetweenInputAndCommitHoldsTheFrame) {
    for (int ends = 0; ends < 4; ++ends) {
        const auto lapse = [&](int here) { log.lease = ends == here ? now : now + 1h; };
        const uint64_t before = gate.left;
        lapse(0);
        log_reads(1, 10);
        look();
        lapse(1);
        frames(1);
        look();
        lapse(2);
        commit(10);
        lapse(3);
        look();
        EXPECT_EQ(gate.left, ends == 3 ? before : before + 1) << "ended at " << ends;
        log.lease = now + 1h;
        look();
        EXPECT_EQ(gate.left, before + 1);
    }
}

TEST_F(Pumps, AnInputThatOthersMaySeeBeforeItIsLoggedHoldsTheFrame) {
    primary_pages.control.exposed = 1;
    frames(1);
    step();
    EXPECT_EQ(gate.left, 0u);
    EXPECT_LE(primary.next_deadline(now), now + replicate::PrimaryPump::exposed_interval) << "it must look again";
    log_reads(1, 10); // it is logged now
    primary_pages.control.exposed = 0;
    look();
    EXPECT_EQ(gate.left, 0u) << "logged is not committed";
    commit(1);
    look();
    EXPECT_EQ(gate.left, 1u);
}

TEST_F(Pumps, AfterWhatCannotBeLoggedNothingLeavesUntilProtectionHasEnded) {
    log_reads(1, 10);
    frames(1);
    look();
    primary_pages.control.unfit = TRIPOD_REASON_guest;
    frames(1);
    look();
    commit(1);
    look();
    EXPECT_EQ(gate.left, 1u) << "the first came before it";
    step();
    EXPECT_EQ(gate.left, 1u);
    EXPECT_EQ(primary.unfit(), static_cast<uint32_t>(TRIPOD_REASON_guest));
    primary.dissolve();
    step();
    ASSERT_EQ(log.proposed.size(), 1u);
    EXPECT_EQ(gate.left, 1u) << "said is not decided";
    commit(1);
    look();
    EXPECT_TRUE(primary.dissolved());
    EXPECT_EQ(gate.left, 2u);
    frames(5);
    log.leads = false;
    look();
    EXPECT_EQ(gate.left, 7u) << "nobody holds it any more";
}

TEST_F(Pumps, ABrokenRingShutsTheGate) {
    ASSERT_TRUE(primary_pages.log(numbered_read(7, 10)));
    frames(1);
    step();
    EXPECT_TRUE(primary.broken());
    EXPECT_EQ(gate.left, 0u);
    EXPECT_TRUE(primary.silent(log, now));
}

TEST_F(Pumps, BeforeItIsGuardedFramesPass) {
    FakePages pages(ring_bytes);
    replicate::PrimaryPump early(pages.memory(), primary_channel, gate, {});
    FakeLog nobody;
    nobody.leads = false;
    frames(2);
    early.notice_frames();
    early.step(nobody, now);
    EXPECT_EQ(gate.left, 2u);
    early.guard();
    frames(1);
    early.notice_frames();
    early.step(nobody, now);
    EXPECT_EQ(gate.left, 2u);
    early.let_pass();
    early.step(nobody, now);
    EXPECT_EQ(gate.left, 3u);
}

TEST_F(Pumps, AGateThatHoldsTooMuchMakesOutputsWait) {
    log.lease = now;
    frames(99);
    look();
    EXPECT_EQ(primary_pages.control.gate_full, 0u);
    frames(1);
    look();
    EXPECT_EQ(primary_pages.control.gate_full, 1u);
    primary_pages.control.waits = TRIPOD_WAIT_gate;
    look();
    EXPECT_EQ(primary_channel.kicks, 0);
    log.lease = now + 1h;
    look();
    EXPECT_EQ(gate.left, 100u);
    EXPECT_EQ(primary_pages.control.gate_full, 0u);
    EXPECT_EQ(primary_channel.kicks, 1);
}

TEST_F(Pumps, NothingIsProposedWithoutLeadership) {
    log.leads = false;
    log.lease = {};
    log_reads(3, 100);
    frames(1);
    step();
    EXPECT_TRUE(log.proposed.empty());
    EXPECT_EQ(gate.left, 0u);
    EXPECT_EQ(primary_pages.control.record_cons, 0u);
}

// Deposed with two entries on the way, of which one survived; then leader again.
TEST_F(Pumps, WhatALostLeadershipDroppedIsProposedAgain) {
    for (int i = 0; i < 2; ++i) {
        log_reads(2, 50);
        step();
    }
    log.leads = false;
    step();
    commit(1);
    log.proposed.clear();
    log_reads(1, 50);
    step();
    log.leads = true;
    step();
    commit(10);
    apply_all();
    EXPECT_EQ(applied, logged);
    EXPECT_EQ(primary.commit_seq(), logged.size());
    EXPECT_EQ(primary_pages.control.record_cons, primary_pages.control.record_prod);
}

TEST_F(Pumps, ABackupSkipsWhatItHasAndRefusesAGap) {
    log_reads(2, 50);
    step();
    const auto entry = log.proposed.front();
    commit(1);
    EXPECT_TRUE(backup.on_commit(rdma_paxos::Index(2), {}, entry));
    apply_all();
    EXPECT_EQ(applied, logged);
    const auto gap = entry_of(5, {numbered_read(5, 10)});
    EXPECT_TRUE(backup.on_commit(rdma_paxos::Index(3), {}, gap)) << "it must not hold the group up";
    EXPECT_TRUE(backup.broken());
}

TEST_F(Pumps, AFullReplayRingPushesBackAndLosesNothing) {
    size_t refused = 0;
    for (int i = 0; i < 20; ++i) {
        log_reads(3, 30'000);
        step();
        const auto entry = log.proposed.front();
        log.proposed.pop_front();
        ++index;
        ASSERT_TRUE(primary.on_commit(rdma_paxos::Index(index), {}, entry));
        while (!backup.on_commit(rdma_paxos::Index(index), {}, entry)) {
            ++refused;
            applied.push_back(backup_pages.apply()); // one at a time: entries are taken in part
        }
    }
    apply_all();
    EXPECT_GT(refused, 0u);
    EXPECT_EQ(applied, logged);
}

TEST_F(Pumps, ABackupWaitsInTheLogUntilItsVmIsThere) {
    replicate::BackupPump early(3);
    log_reads(1, 10);
    step();
    const auto entry = log.proposed.front();
    EXPECT_FALSE(early.on_commit(rdma_paxos::Index(1), {}, entry));
    FakePages pages(ring_bytes);
    early.attach(pages.memory(), backup_channel, 0);
    EXPECT_TRUE(early.on_commit(rdma_paxos::Index(1), {}, entry));
    EXPECT_EQ(pages.apply(), logged.front());
}

TEST_F(Pumps, AppliedIsWhatTheVmHasTakenNotWhatTheRingHolds) {
    log_reads(2, 10);
    step();
    commit(1);
    log_reads(1, 10);
    step();
    commit(1);
    backup.step(backup_log, now);
    EXPECT_EQ(backup.applied_index(), 0u);
    backup_pages.apply();
    backup_pages.apply();
    backup_log.leads = false;
    backup.step(backup_log, now);
    EXPECT_EQ(backup.applied_index(), 1u);
    EXPECT_FALSE(backup.drained());
    apply_all();
    backup.step(backup_log, now);
    EXPECT_EQ(backup.applied_index(), 2u);
    EXPECT_TRUE(backup.drained());
}

TEST_F(Pumps, ABackupTakesOverOnlyWhenTheLogSaysSoAndItsVmIsDrained) {
    log_reads(2, 10);
    step();
    commit(1);
    backup.step(backup_log, now); // it leads
    EXPECT_TRUE(backup_log.proposed.empty()) << "its VM might still stray on the way, and others be fit";
    apply_all();
    backup.step(backup_log, now);
    ASSERT_EQ(backup_log.proposed.size(), 1u);
    EXPECT_FALSE(backup.promoted()) << "proposed is not decided";
    EXPECT_FALSE(backup.ready_for_life());
    backup.step(backup_log, now);
    EXPECT_EQ(backup_log.proposed.size(), 1u) << "once is enough";
    const auto word = backup_log.proposed.front();
    ASSERT_TRUE(backup.on_commit(rdma_paxos::Index(2), {}, word));
    EXPECT_EQ(backup.promoted(), 2);
    EXPECT_TRUE(backup.ready_for_life());

    // The old primary learns of it and stops serving.
    ASSERT_TRUE(primary.on_commit(rdma_paxos::Index(2), {}, word));
    EXPECT_EQ(primary.promoted(), 2);
    log_reads(1, 10);
    frames(1);
    step();
    EXPECT_TRUE(log.proposed.empty());
    EXPECT_EQ(gate.left, 0u);
}

TEST_F(Pumps, APrimaryThatHandsOverSaysSoAfterItsLastRecordAndNothingMore) {
    log_reads(2, 10);
    step();
    commit(1);
    primary.hold_frames(true);
    frames(1);
    step();
    EXPECT_EQ(gate.left, 0u) << "nothing leaves any more";
    primary.hold_frames(false);
    step();
    EXPECT_EQ(gate.left, 1u) << "there is a way back";

    primary.hold_frames(true);
    primary.hand_over(2);
    log.room = 1; // the record fits, the word does not
    log_reads(1, 10);
    step();
    EXPECT_EQ(log.proposed.size(), 1u);
    log.room = 1000;
    step();
    ASSERT_EQ(log.proposed.size(), 2u);
    log_reads(1, 10);
    frames(1);
    step();
    EXPECT_EQ(log.proposed.size(), 2u) << "what comes later belongs to no history";
    logged.pop_back();
    commit(2);
    EXPECT_EQ(primary.promoted(), 2);
    EXPECT_FALSE(backup.ready_for_life()) << "three records are not applied yet";
    apply_all();
    EXPECT_EQ(applied, logged);
    EXPECT_TRUE(backup.ready_for_life());
    step();
    EXPECT_EQ(gate.left, 1u);
}

TEST_F(Pumps, AGuestThatNeverRestsDoesNotPutOffTheEnd) {
    replicate::PrimaryPump busy(primary_pages.memory(), primary_channel, gate, {.in_flight = 1});
    busy.guard();
    log_reads(1, 10);
    frames(1);
    busy.notice_frames();
    busy.step(log, now);
    log_reads(1, 10);
    busy.hold_frames(true);
    busy.hand_over(2);
    busy.step(log, now);
    ASSERT_EQ(log.proposed.size(), 3u) << "records, records, and the word";
    EXPECT_EQ(replicate::decode_header(log.proposed.back())->kind, replicate::EntryKind::promoted);
    log.proposed.clear();
}

TEST_F(Pumps, AHandoverThatWasDroppedIsSaidAgain) {
    primary.hold_frames(true);
    primary.hand_over(2);
    step();
    ASSERT_EQ(log.proposed.size(), 1u);
    log.leads = false;
    log.proposed.clear();
    step();
    log.leads = true;
    step();
    EXPECT_EQ(log.proposed.size(), 1u);
    commit(1);
    EXPECT_EQ(backup.promoted(), 2);
}

TEST_F(Pumps, OnlyTheFirstWordAboutTheEndCounts) {
    ASSERT_TRUE(backup.on_commit(rdma_paxos::Index(1), {}, replicate::encode_dissolved()));
    ASSERT_TRUE(backup.on_commit(rdma_paxos::Index(2), {}, replicate::encode_promoted(2)));
    EXPECT_TRUE(backup.dissolved());
    EXPECT_FALSE(backup.promoted());
    EXPECT_FALSE(backup.ready_for_life());
    backup.step(backup_log, now);
    EXPECT_TRUE(backup_log.proposed.empty()) << "no promotion after the end";
}

TEST_F(Pumps, AnUnfitBackupNeverTakesOverAndHoldsNobodyUp) {
    backup_pages.control.unfit = TRIPOD_REASON_output;
    backup.step(backup_log, now);
    EXPECT_TRUE(backup_log.proposed.empty());
    log_reads(2, 10);
    step();
    EXPECT_TRUE(backup.on_commit(rdma_paxos::Index(1), {}, log.proposed.front()));
    ASSERT_TRUE(backup.on_commit(rdma_paxos::Index(2), {}, replicate::encode_promoted(2)));
    EXPECT_FALSE(backup.ready_for_life());
}

TEST_F(Pumps, AWaitingReplayIsWokenOncePerAppend) {
    backup_log.leads = false;
    backup_pages.control.waits = TRIPOD_WAIT_replay;
    backup.step(backup_log, now);
    EXPECT_EQ(backup_channel.kicks, 0);
    log_reads(1, 10);
    step();
    commit(1);
    backup.step(backup_log, now);
    EXPECT_EQ(backup_channel.kicks, 1);
    backup.step(backup_log, now);
    EXPECT_EQ(backup_channel.kicks, 1);
}

TEST_F(Pumps, AJumpInTheRecordRingIsFoundBeforeItIsSent) {
    log_reads(1, 10);
    ASSERT_TRUE(primary_pages.log(numbered_read(7, 10)));
    step();
    EXPECT_TRUE(primary.broken());
}

TEST_F(Pumps, AStrayedBackupStandsStillAndStillHearsOfTheEnd) {
    log_reads(1, 10);
    step();
    commit(1);
    apply_all();
    backup_log.leads = false;
    backup.step(backup_log, now);
    ASSERT_EQ(backup.applied_index(), 1u);
    backup_pages.control.unfit = TRIPOD_REASON_syscall;
    backup_log.leads = true;
    log_reads(2, 10);
    step();
    commit(1);
    backup.step(backup_log, now);
    EXPECT_EQ(backup.applied_index(), 1u) << "its VM is where it strayed";
    EXPECT_EQ(backup_pages.control.replay_prod, backup_pages.control.replay_cons);
    EXPECT_TRUE(backup_log.proposed.empty()) << "it is not promoted, even if it leads";
    ASSERT_TRUE(backup.on_commit(rdma_paxos::Index(3), {}, replicate::encode_promoted(3)));
    EXPECT_EQ(backup.promoted(), 3) << "its copy must go";

    replicate::BackupPump other(3);
    FakePages pages(ring_bytes);
    other.attach(pages.memory(), backup_channel, 0);
    other.give_up("its domain is gone");
    other.give_up("and more");
    EXPECT_EQ(other.broken(), "its domain is gone");
    ASSERT_TRUE(other.on_commit(rdma_paxos::Index(1), {}, replicate::encode_dissolved()));
    EXPECT_TRUE(other.dissolved());
}

TEST_F(Pumps, NothingIsReadOfAVmWhosePagesAreGone) {
    replicate::BackupPump mine(2);
    auto pages = std::make_unique<FakePages>(ring_bytes);
    mine.attach(pages->memory(), backup_channel, 0);
    log_reads(2, 10);
    step();
    const auto entry = log.proposed.front();
    ASSERT_TRUE(mine.on_commit(rdma_paxos::Index(1), {}, entry));
    pages->apply();
    pages->apply();
    pages->control.unfit = TRIPOD_REASON_output;
    mine.detach();
    std::memset(static_cast<void*>(&pages->control), 0xff, sizeof pages->control);
    pages.reset();
    EXPECT_EQ(mine.unfit(), uint32_t{TRIPOD_REASON_output}) << "what was found stays known";
    EXPECT_EQ(mine.applied_index(), 1u);
    mine.step(backup_log, now);
    mine.follow_applied();
    EXPECT_FALSE(mine.drained());
    EXPECT_FALSE(mine.ready_for_life());
    EXPECT_EQ(mine.next_deadline(now), std::chrono::nanoseconds::max());
    EXPECT_TRUE(mine.on_commit(rdma_paxos::Index(2), {}, entry)) << "it holds nobody up";
    EXPECT_EQ(mine.applied_index(), 1u);
    ASSERT_TRUE(mine.on_commit(rdma_paxos::Index(3), {}, replicate::encode_promoted(2)));
    EXPECT_FALSE(mine.ready_for_life());
    EXPECT_TRUE(backup_log.proposed.empty());
}

TEST_F(Pumps, APausedBackupComesToRestAndGoesOn) {
    log_reads(1, 10);
    step();
    const auto entry = log.proposed.front();
    backup.pause(true);
    EXPECT_FALSE(backup.on_commit(rdma_paxos::Index(1), {}, entry));
    EXPECT_TRUE(backup.drained());
    backup.pause(false);
    EXPECT_TRUE(backup.on_commit(rdma_paxos::Index(1), {}, entry));
    apply_all();
    EXPECT_EQ(applied, logged);
}

TEST_F(Pumps, ABackupLooksAtItsVmBeforeItProposesItsPromotion) {
    bool lives = false;
    int looks = 0;
    backup.set_last_look([&] { return ++looks, lives; });
    backup.step(backup_log, now);
    EXPECT_EQ(looks, 1);
    EXPECT_TRUE(backup_log.proposed.empty());
    lives = true;
    backup.step(backup_log, now);
    EXPECT_EQ(backup_log.proposed.size(), 1u);
    backup.step(backup_log, now);
    EXPECT_EQ(looks, 2) << "proposed is proposed";
}

TEST(Entry, HostileBytesAreRefused) {
    const auto refused = [](std::span<const std::byte> bytes) {
        FakePages pages(4096);
        FakeChannel channel;
        replicate::BackupPump pump(2);
        pump.attach(pages.memory(), channel, 4);
        EXPECT_TRUE(pump.on_commit(rdma_paxos::Index(1), {}, bytes)) << "it must not hold the group up";
        return pump.broken().has_value();
    };
    const auto good = entry_of(4, {numbered_read(4, 20), numbered_read(5, 20)});
    EXPECT_FALSE(refused(good));
    for (size_t cut = 0; cut < good.size(); ++cut)
        EXPECT_TRUE(refused(std::span(good).first(cut))) << cut;
    for (const size_t offset : {0, 4, 6, 8, 16, 20, 24}) {
        auto bad = good;
        bad[offset] ^= std::byte{0x40};
        EXPECT_TRUE(refused(bad)) << "changed byte " << offset;
    }
}

} // namespace
} // namespace tripod
