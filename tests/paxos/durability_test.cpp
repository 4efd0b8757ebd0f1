// SPDX-License-Identifier: Apache-2.0
//
// A group whose log is on disk: real files, simulated network. Restart of one, of all, damage, a full disk.
#include "rdma_paxos/file_storage.h"
#include "replica_fixture.h"
#include "storage/file_storage_impl.h"
#include "storage_fake_disk.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

namespace rdma_paxos {
namespace {

class DurabilityTest : public ReplicaTest {
  protected:
    DurabilityTest() {
        base_ = std::filesystem::temp_directory_path() / ("rdma-paxos-durability-" + std::to_string(getpid()));
        std::filesystem::remove_all(base_);
    }
    ~DurabilityTest() override {
        for (TestMember& member : members_)
            member.replica.reset();
        for (auto& storage : storages_)
            storage.reset();
        std::filesystem::remove_all(base_);
    }

    std::string folder(int number) const { return (base_ / std::to_string(number)).string(); }

    Storage* storage_for(int number) override {
        auto& storage = storages_[static_cast<std::size_t>(number)];
        storage.reset();
        std::filesystem::create_directories(base_);
        auto opened = open_file_storage({.folder = folder(number),
                                         .group = config_.group,
                                         .self = ReplicaId(static_cast<std::uint8_t>(number)),
                                         .segment_bytes = 64 << 10,
                                         .queue_bytes = 256 << 10});
        EXPECT_TRUE(opened) << opened.error().what;
        if (opened)
            storage = std::move(*opened);
        return storage.get();
    }

    void kill(int number) {
        ReplicaTest::kill(number);
        storages_[static_cast<std::size_t>(number)].reset();
    }

    /// The disks are real, the clock is not: it goes slowly enough for them.
    template <class Condition>
    bool until(Condition condition) {
        for (int i = 0; i < 4000; ++i) {
            if (condition())
                return true;
            run(500us);
            std::this_thread::sleep_for(500us);
        }
        return false;
    }
    bool all_have(std::size_t count) {
        return until([&] {
            return std::all_of(members_.begin(), members_.end(), [&](const TestMember& member) {
                return !member.replica || member.stopped || member.applied.size() >= count;
            });
        });
    }
    bool somebody_leads() {
        return until([&] {
            return std::any_of(members_.begin(), members_.end(), [](const TestMember& member) {
                return member.replica && !member.stopped && member.replica->role() == Role::leader;
            });
        });
    }

    void propose(int count) {
        ASSERT_TRUE(somebody_leads());
        TestMember* one = leader();
        ASSERT_TRUE(one);
        for (int i = 0; i < count; ++i) {
            ASSERT_TRUE(until([&] {
                return one->replica->propose(bytes_of(std::to_string(proposed_) + std::string(50, '.')))
                    .has_value();
            }));
            ++proposed_;
        }
        one->replica->flush(network_.now());
    }

    std::filesystem::path base_;
    std::array<std::unique_ptr<Storage>, 9> storages_;
    int proposed_ = 0;
};

TEST_F(DurabilityTest, NothingIsCommittedBeforeItIsOnAMajoritysDisks) {
    found(3);
    ASSERT_TRUE(somebody_leads());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("x")));
    at(1).replica->flush(network_.now());
    ASSERT_TRUE(all_have(1));
    std::size_t holders = 0;
    for (const int each : {1, 2, 3})
        holders += storages_[static_cast<std::size_t>(each)]->durable() > 0;
    EXPECT_GE(holders, 2u);
}

TEST_F(DurabilityTest, OneComesBackAndGoesOnAsTheSameMember) {
    found(3);
    propose(100);
    ASSERT_TRUE(all_have(100));
    const auto incarnation = at(3).replica->incarnation();
    kill(3);
    propose(50);
    ASSERT_TRUE(all_have(150));
    start(3, true);
    ASSERT_TRUE(all_have(150));
    EXPECT_EQ(at(3).replica->incarnation(), incarnation);
    EXPECT_EQ(texts(at(3)), texts(at(1)));
    kill(2);
    propose(10);
    EXPECT_TRUE(all_have(160)) << "it counts";
}

// How much one may propose is its own affair: it takes, also back from its disk, what others proposed.
TEST_F(DurabilityTest, AMemberTakesLargerEntriesThanItProposes) {
    found(3);
    propose(20);
    ASSERT_TRUE(all_have(20));
    kill(3);
    config_.max_entry_bytes = 16;
    start(3, true);
    propose(20);
    ASSERT_TRUE(all_have(40));
    EXPECT_EQ(texts(at(3)), texts(at(1)));
    kill(2);
    propose(10);
    EXPECT_TRUE(all_have(50)) << "what it has on disk counts";
}

TEST_F(DurabilityTest, AllComeBackWithAllThatWasCommitted) {
    found(3);
    propose(1500); // several times around the ring
    ASSERT_TRUE(all_have(1500));
    const auto before = texts(at(1));
    for (int round = 0; round < 3; ++round) {
        for (const int each : {1, 2, 3})
            kill(each);
        config_.initial_leader = nobody;
        for (const int each : {1, 2, 3})
            start(each, true);
        propose(1);
        ASSERT_TRUE(all_have(1501 + static_cast<std::size_t>(round)));
        for (const int each : {1, 2, 3}) {
            const auto now = texts(at(each));
            EXPECT_TRUE(std::equal(before.begin(), before.end(), now.begin()));
        }
    }
}

TEST_F(DurabilityTest, ALogOfARingOfAnotherSizeIsRefused) {
    found(1);
    propose(5);
    ASSERT_TRUE(all_have(5));
    kill(1);
    Config config = config_;
    config.self = ReplicaId(1);
    config.ring_bytes = 128 << 10;
    Storage* storage = storage_for(1);
    const auto fabric = network_.make_fabric(ReplicaId(1), memory_layout(config.ring_bytes));
    const auto rendezvous = network_.make_rendezvous(ReplicaId(1));
    const auto replica = Replica::create(config, *fabric, *rendezvous, at(1), storage);
    ASSERT_FALSE(replica);
    for (const char* word : {"65536", "131072", "ring_bytes"})
        EXPECT_NE(replica.error().what.find(word), std::string::npos) << replica.error().what;
}

TEST_F(DurabilityTest, ARottenLogIsRepairedFromThePeers) {
    found(3);
    propose(200);
    ASSERT_TRUE(all_have(200));
    for (const int each : {1, 2, 3})
        kill(each);
    // Turn a bit in the middle of what the third has stored.
    std::filesystem::path victim;
    for (const auto& file : std::filesystem::directory_iterator(folder(3)))
        if (file.is_regular_file() && file.file_size() > 4096 && (victim.empty() || file.path() < victim))
            victim = file.path();
    ASSERT_FALSE(victim.empty());
    {
        std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(9000);
        const char turned = static_cast<char>(file.get() ^ 0x10);
        file.seekp(9000);
        file.put(turned);
    }
    config_.initial_leader = nobody;
    for (const int each : {1, 3}) // the rotten one's word alone is not enough, ...
        start(each, true);
    EXPECT_TRUE(storages_[3]->recovered().suspect) << storages_[3]->recovered().report;
    for (int i = 0; i < 200; ++i) {
        run(1ms);
        std::this_thread::sleep_for(200us);
        EXPECT_NE(at(1).replica->role(), Role::leader);
        EXPECT_NE(at(3).replica->role(), Role::leader);
    }
    start(2, true); // ... with the third one it is
    propose(1);
    ASSERT_TRUE(all_have(201));
    EXPECT_EQ(texts(at(3)), texts(at(1)));
    TestMember* one = leader();
    ASSERT_TRUE(one);
    ASSERT_TRUE(until([&] { return !one->replica->peer(ReplicaId(3)).suspect; }));
    for (int tries = 0; tries < 100; ++tries) { // the word of it goes to the disk when the disk's thread runs
        std::this_thread::sleep_for(20ms);
        kill(3);
        start(3, true);
        if (!storages_[3]->recovered().suspect)
            break;
        run(20ms);
    }
    EXPECT_FALSE(storages_[3]->recovered().suspect) << "repaired";
}

class RottenMembershipTest : public DurabilityTest {
  protected:
    struct Spot {
        std::filesystem::path file;
        std::uint64_t offset = 0;
    };

    /// Where the next batch will go.
    Spot end_of_log(int number) const {
        Spot spot;
        for (const auto& each : std::filesystem::directory_iterator(folder(number)))
            if (each.path().filename().string().starts_with("log-") && each.path() > spot.file)
                spot.file = each.path();
        std::ifstream file(spot.file, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        std::uint64_t last = bytes.size();
        while (last > 0 && bytes[last - 1] == 0)
            --last;
        spot.offset = (last + 511) / 512 * 512;
        return spot;
    }

    /// Until these logs have not grown for a while, which a busy machine may put off.
    void let_disks_finish(const std::vector<int>& ids) {
        const auto ends = [&] {
            std::vector<std::uint64_t> all;
            for (const int id : ids)
                all.push_back(end_of_log(id).offset);
            return all;
        };
        run(20ms);
        for (int quiet = 0; quiet < 5;) {
            const auto before = ends();
            run(1ms);
            std::this_thread::sleep_for(20ms);
            quiet = ends() == before ? quiet + 1 : 0;
        }
    }

    static void rot(const Spot& spot) {
        std::fstream file(spot.file, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(spot.offset + 100));
        file.put(0x5a);
        file.put(0x5b);
    }

    void grow(const std::vector<int>& ids) {
        std::vector<Member> members;
        members.reserve(ids.size());
        for (const int id : ids)
            members.push_back({.id = ReplicaId(static_cast<std::uint8_t>(id))});
        const auto to = static_cast<std::size_t>(members.size());
        ASSERT_TRUE(until([&] { return at(1).replica->change_membership(members).has_value(); }));
        ASSERT_TRUE(until([&] {
            const Membership& now = at(1).replica->membership();
            return now.phase == Membership::Phase::stable && now.voters.size() == to &&
                   at(1).replica->commit_index() >= now.index;
        }));
    }

    void nobody_leads_for_a_while() {
        for (int i = 0; i < 300; ++i) {
            run(1ms);
            std::this_thread::sleep_for(100us);
            for (const TestMember& member : members_)
                ASSERT_FALSE(member.replica && member.replica->role() == Role::leader) << member.id.value();
        }
    }
};

TEST_F(RottenMembershipTest, WhoWasTheGroupAloneDoesNotTakeItselfForTheGroupAgain) {
    found(1);
    propose(20);
    ASSERT_TRUE(all_have(20));
    let_disks_finish({1});
    const Spot before_the_change = end_of_log(1);
    start(2, false);
    start(3, false);
    grow({1, 2, 3});
    propose(20);
    ASSERT_TRUE(all_have(40));
    const auto committed = texts(at(2));
    for (const int each : {1, 2, 3})
        kill(each);
    rot(before_the_change);

    config_.initial_leader = nobody;
    start(1, true);
    ASSERT_TRUE(storages_[1]->recovered().suspect) << storages_[1]->recovered().report;
    nobody_leads_for_a_while();
    EXPECT_EQ(at(1).replica->membership().voters.size(), 1u) << "or it was not about what this test is about";
    start(2, false);
    nobody_leads_for_a_while();
    start(3, false); // two with sound disks are a majority
    propose(1);
    ASSERT_TRUE(all_have(41));
    for (const int each : {1, 2, 3}) {
        const auto now = texts(at(each));
        EXPECT_TRUE(std::equal(committed.begin(), committed.end(), now.begin())) << each;
    }
    // What it got back it speaks for again.
    TestMember* one = leader();
    ASSERT_TRUE(one);
    ASSERT_TRUE(one == &at(1) || until([&] { return !one->replica->peer(ReplicaId(1)).suspect; }));
    kill(2);
    propose(1);
    EXPECT_TRUE(all_have(42));
}

TEST_F(RottenMembershipTest, WhoNeverHadItIsNotElectedByThoseWhoLostIt) {
    found(3);
    propose(20);
    ASSERT_TRUE(all_have(20));
    let_disks_finish({1, 2, 3});
    kill(3); // its disk stays sound, and knows of no change
    const Spot first = end_of_log(1);
    const Spot second = end_of_log(2);
    start(4, false);
    start(5, false);
    grow({1, 2, 3, 4, 5});
    propose(20);
    ASSERT_TRUE(all_have(40));
    const auto committed = texts(at(4));
    for (const int each : {1, 2, 4, 5})
        kill(each);
    rot(first);
    rot(second); // two of five

    config_.initial_leader = nobody;
    for (const int each : {1, 2, 3})
        start(each, true);
    ASSERT_TRUE(storages_[1]->recovered().suspect && storages_[2]->recovered().suspect);
    nobody_leads_for_a_while();
    for (const int each : {4, 5})
        start(each, false);
    propose(1);
    ASSERT_TRUE(all_have(41));
    for (const int each : {1, 2, 3, 4, 5}) {
        const auto now = texts(at(each));
        EXPECT_TRUE(std::equal(committed.begin(), committed.end(), now.begin())) << each;
    }
}

// One that is durable when the test says so, and tells what was stored.
class ObservedStorage final : public Storage {
  public:
    const Recovered& recovered() const override { return recovered_; }
    std::optional<Stretch> read_back() override { return std::nullopt; }
    Ticket store_log(std::uint64_t, Bytes) override { return ++taken_; }
    Ticket store_state(const HardState& state) override {
        states.emplace_back(++taken_, state);
        return taken_;
    }
    Ticket store_base(const SnapshotPoint&) override { return ++taken_; }
    Ticket durable() override { return waits ? granted : taken_; }
    const std::optional<Error>& failure() const override { return none_; }

    void hold_back() {
        granted = taken_;
        waits = true;
    }
    Ticket taken() const { return taken_; }
    EntryId remembered() const { return states.empty() ? EntryId{} : states.back().second.membership; }

    bool waits = false;
    Ticket granted = 0;
    std::vector<std::pair<Ticket, HardState>> states;

  private:
    Recovered recovered_;
    Ticket taken_ = 0;
    std::optional<Error> none_;
};

class RememberedMembershipTest : public ReplicaTest {
  protected:
    ~RememberedMembershipTest() override {
        for (TestMember& member : members_)
            member.replica.reset();
    }
    Storage* storage_for(int number) override {
        auto& storage = storages_[static_cast<std::size_t>(number)];
        storage = std::make_unique<ObservedStorage>();
        return storage.get();
    }
    ObservedStorage& disk(int number) { return *storages_[static_cast<std::size_t>(number)]; }
    std::array<std::unique_ptr<ObservedStorage>, 9> storages_;
};

TEST_F(RememberedMembershipTest, IsStoredBehindItsEntryAndBeforeTheEntryCounts) {
    found(1);
    start(2, false);
    start(3, false);
    run(100ms);
    ASSERT_EQ(at(1).replica->role(), Role::leader);
    const std::vector<Member> three{{.id = ReplicaId(1)}, {.id = ReplicaId(2)}, {.id = ReplicaId(3)}};
    ASSERT_TRUE(at(1).replica->change_membership(three));
    const auto& now = at(1).replica->membership();
    for (int i = 0; i < 1000 && now.phase != Membership::Phase::joint; ++i) {
        disk(1).hold_back(); // what it has taken is durable, what comes is not
        run(50us);
    }
    ASSERT_EQ(now.phase, Membership::Phase::joint);
    const EntryId entry{now.index, at(1).replica->term()};
    run(20ms);
    EXPECT_EQ(disk(1).remembered(), EntryId{}) << "the entry may still be torn";
    EXPECT_LT(at(1).replica->commit_index(), entry.index);
    disk(1).granted = disk(1).taken();
    run(20ms);
    EXPECT_EQ(disk(1).remembered(), entry);
    EXPECT_LT(at(1).replica->commit_index(), entry.index) << "its loss would not be noticed";
    disk(1).waits = false;
    run(100ms);
    EXPECT_EQ(now.phase, Membership::Phase::stable);
    EXPECT_EQ(now.voters.size(), 3u);
    for (const int each : {1, 2, 3})
        EXPECT_EQ(disk(each).remembered().index, now.index) << each;
}

TEST_F(RememberedMembershipTest, IsForgottenWhenALaterLeaderCutsItOff) {
    found(3);
    start(4, false);
    run(100ms);
    ASSERT_EQ(at(1).replica->role(), Role::leader);
    const std::vector<Member> next{{.id = ReplicaId(1)}, {.id = ReplicaId(2)}, {.id = ReplicaId(4)}};
    at(4).stopped = true;
    ASSERT_TRUE(at(1).replica->change_membership(next));
    const auto& now = at(1).replica->membership();
    run(20ms);
    ASSERT_EQ(now.phase, Membership::Phase::catching_up);
    ASSERT_EQ(at(1).replica->commit_index(), now.index);
    EXPECT_EQ(disk(1).remembered(), EntryId{}) << "the same three decide";
    for (const ReplicaId here : {ReplicaId(1), ReplicaId(4)}) // the joint membership comes no further
        for (const ReplicaId there : {ReplicaId(2), ReplicaId(3)}) {
            network_.set_path(here, there, false);
            network_.set_path(there, here, false);
        }
    for (const ReplicaId there : {ReplicaId(2), ReplicaId(3)})
        at(1).fabric->fail_link(there, Link::log);
    at(4).stopped = false;
    for (int i = 0; i < 1000 && now.phase != Membership::Phase::joint; ++i)
        run(50us);
    ASSERT_EQ(now.phase, Membership::Phase::joint);
    const EntryId entry{now.index, at(1).replica->term()};
    run(5ms);
    EXPECT_EQ(disk(1).remembered(), entry);
    const auto leads = [&](int number) { return at(number).replica->role() == Role::leader; };
    for (int i = 0; i < 1000 && !leads(2) && !leads(3); ++i)
        run(1ms);
    ASSERT_TRUE(leads(2) || leads(3));
    ASSERT_TRUE(at(leads(2) ? 2 : 3).replica->propose(bytes_of("instead")));
    run(5ms);
    ASSERT_TRUE(at(1).applied.empty());
    EXPECT_EQ(disk(1).remembered(), entry) << "nobody has said otherwise";
    network_.heal_paths();
    for (int i = 0; i < 1000 && at(1).applied.empty(); ++i)
        run(1ms);
    EXPECT_EQ(texts(at(1)), std::vector<std::string>{"instead"});
    EXPECT_NE(disk(1).remembered(), entry);
}

class FailingDiskTest : public ReplicaTest {
  protected:
    Storage* storage_for(int number) override {
        const auto slot = static_cast<std::size_t>(number);
        auto opened = open_file_storage({.folder = "/log",
                                         .group = config_.group,
                                         .self = ReplicaId(static_cast<std::uint8_t>(number)),
                                         .segment_bytes = 64 << 10,
                                         .queue_bytes = 256 << 10},
                                        disks_[slot]);
        EXPECT_TRUE(opened) << opened.error().what;
        storages_[slot] = std::move(*opened);
        return storages_[slot].get();
    }
    ~FailingDiskTest() override {
        for (TestMember& member : members_)
            member.replica.reset();
    }
    template <class Condition>
    bool until(Condition condition) {
        for (int i = 0; i < 4000 && !condition(); ++i) {
            run(500us);
            std::this_thread::sleep_for(500us);
        }
        return condition();
    }
    std::array<FakeDisk, 9> disks_;
    std::array<std::unique_ptr<Storage>, 9> storages_;
};

TEST_F(FailingDiskTest, ALeaderWhoseDiskIsFullStepsDownAndTheOthersGoOn) {
    found(3);
    ASSERT_TRUE(until([&] { return at(1).replica->role() == Role::leader; }));
    disks_[1].limit_space(0);
    disks_[1].fail("pwrite", ENOSPC);
    (void)at(1).replica->propose(bytes_of("the last straw"));
    ASSERT_TRUE(until([&] { return at(1).failure.has_value(); }));
    EXPECT_NE(at(1).failure->what.find("No space left"), std::string::npos) << at(1).failure->what;
    ASSERT_TRUE(
        until([&] { return at(2).replica->role() == Role::leader || at(3).replica->role() == Role::leader; }));
    EXPECT_NE(at(1).replica->role(), Role::leader);
    TestMember& next = at(2).replica->role() == Role::leader ? at(2) : at(3);
    ASSERT_TRUE(next.replica->propose(bytes_of("goes on")));
    EXPECT_TRUE(until([&] { return !next.applied.empty() && next.applied.back().second == "goes on"; }));
}

TEST_F(FailingDiskTest, AFollowerWhoseDiskFailsAcknowledgesNothingMore) {
    found(3);
    ASSERT_TRUE(
        until([&] { return at(1).replica->role() == Role::leader && at(1).replica->commit_index() > Index(); }));
    run(20ms);
    for (const std::size_t each : {2u, 3u})
        disks_[each].fail("pwrite", EIO);
    ASSERT_TRUE(at(1).replica->propose(bytes_of("nobody but the leader has this on disk")));
    for (int i = 0; i < 100; ++i) {
        run(500us);
        std::this_thread::sleep_for(200us);
    }
    EXPECT_TRUE(at(1).applied.empty()) << "in three memories, on one disk: not committed";
    EXPECT_TRUE(at(2).failure && at(3).failure);
}

TEST_F(DurabilityTest, AStateSavedByItsUserNeedNotBeReplayed) {
    found(3);
    propose(300);
    ASSERT_TRUE(all_have(300));
    const SnapshotPoint saved = at(2).replica->snapshot_point();
    at(2).replica->snapshot_saved(saved);
    propose(10);
    ASSERT_TRUE(all_have(310));
    kill(2);
    state_ = saved;
    start(2, true);
    state_.reset();
    ASSERT_TRUE(until([&] { return at(2).applied.size() >= 10; }));
    run(20ms);
    EXPECT_EQ(at(2).applied.size(), 10u) << "only what came behind it";
    EXPECT_EQ(at(2).applied.front().first.value(), saved.index.value() + 1);
}

TEST_F(DurabilityTest, WithoutItsFilesAReplicaIsANewcomer) {
    found(3);
    propose(20);
    ASSERT_TRUE(all_have(20));
    kill(3);
    std::filesystem::remove_all(folder(3));
    start(3, false);
    ASSERT_TRUE(until([&] { return at(1).replica->peer(ReplicaId(3)).replaced; }));
    const std::vector<Member> same{{.id = ReplicaId(1)}, {.id = ReplicaId(2)}, {.id = ReplicaId(3)}};
    ASSERT_TRUE(at(1).replica->change_membership(same));
    ASSERT_TRUE(all_have(20));
    ASSERT_TRUE(until([&] { return at(3).replica->role() == Role::follower; }));
    const auto incarnation = at(3).replica->incarnation();
    kill(3);
    start(3, false);
    EXPECT_EQ(at(3).replica->incarnation(), incarnation);
    ASSERT_TRUE(all_have(20));
    EXPECT_TRUE(until([&] { return at(3).replica->role() == Role::follower; })) << "a member across restarts";
}

/// Takes everything at once, and knows where the log on it ends.
class ObedientStorage final : public Storage {
  public:
    const Recovered& recovered() const override { return recovered_; }
    std::optional<Stretch> read_back() override { return std::nullopt; }
    Ticket store_log(std::uint64_t position, Bytes bytes) override {
        end = position + bytes.size();
        lowest_end = std::min(lowest_end, end);
        return ++taken_;
    }
    Ticket store_state(const HardState&) override { return ++taken_; }
    Ticket store_base(const SnapshotPoint&) override { return ++taken_; }
    Ticket durable() override { return taken_; }
    const std::optional<Error>& failure() const override { return failure_; }

    std::uint64_t end = 0;
    std::uint64_t lowest_end = 0; ///< since it was last set

  private:
    Recovered recovered_;
    std::optional<Error> failure_;
    Ticket taken_ = 0;
};

class RewrittenLogTest : public ReplicaTest {
  protected:
    Storage* storage_for(int number) override { return &storages_[static_cast<std::size_t>(number)]; }
    void propose(int count) {
        for (int i = 0; i < count; ++i)
            ASSERT_TRUE(at(1).replica->propose(bytes_of(std::string(4000, '.'))));
        at(1).replica->flush(network_.now());
        run(1ms);
    }
    void set_paths(bool up) {
        for (const int other : {2, 3}) {
            network_.set_path(at(1).id, at(other).id, up);
            network_.set_path(at(other).id, at(1).id, up);
        }
    }
    void set_delay_to_1(Nanoseconds delay) {
        for (const int other : {2, 3})
            network_.set_delay(at(other).id, at(1).id, delay);
    }

    std::array<ObedientStorage, 9> storages_;
};

// Entries that an earlier leader may have counted lie on both sides of the ring's end, and behind them what a new
// leader cuts off.
TEST_F(RewrittenLogTest, WhatIsInTheLogStillIsNeverOffTheDisk) {
    found(3);
    ASSERT_EQ(leader(), &at(1));
    for (int i = 0; i < 15; ++i)
        propose(1);
    ASSERT_EQ(at(1).replica->commit_index(), at(1).replica->last_index());
    const Index committed = at(1).replica->commit_index();
    run(5ms);             // nothing is on its way to those who were not waited for
    set_delay_to_1(30ms); // the leader is not told in time what is on its followers' disks
    propose(3);
    run(2ms);
    const Index counted = at(1).replica->last_index();
    ObedientStorage& disk = storages_[1];
    const std::uint64_t end = disk.end;
    ASSERT_GT(end, config_.ring_bytes);
    ASSERT_EQ(storages_[2].end, end);
    set_paths(false);
    propose(1);
    ASSERT_EQ(at(1).replica->commit_index(), committed);
    ASSERT_GT(disk.end, end);
    at(1).stopped = true;
    const auto newer = [&] { return at(2).replica->role() == Role::leader ? &at(2) : &at(3); };
    for (int i = 0; i < 500 && newer()->replica->commit_index() <= counted; ++i)
        run(10ms);
    ASSERT_GT(newer()->replica->commit_index(), counted);
    at(1).stopped = false;
    disk.lowest_end = disk.end;
    set_delay_to_1(0ms);
    set_paths(true);
    for (int i = 0; i < 500 && at(1).replica->commit_index() <= counted; ++i)
        run(10ms);
    EXPECT_GT(at(1).replica->commit_index(), counted);
    EXPECT_GT(disk.end, end);
    EXPECT_GE(disk.lowest_end, end);
}

} // namespace
} // namespace rdma_paxos
