// SPDX-License-Identifier: Apache-2.0
//
// What recovery says of logs that are not as they were written: it notices everything, calls a cut-off write a
// cut-off write and rot rot, and never hands out bytes that were not stored.
#include "storage/disk_format.h"
#include "storage/file_storage_impl.h"
#include "storage_fake_disk.h"
#include "storage_model.h"

#include <cerrno>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

constexpr std::uint64_t sector = disk::sector_bytes;

FileStorageOptions options() {
    return {.folder = "/d", .group = {1, 2}, .self = ReplicaId(3), .segment_bytes = 8192, .queue_bytes = 65536};
}

const std::string first_segment = "/d/log-0000000000000001";

// A small log, each call a batch of its own: known sectors hold known things.
class StorageDamageTest : public testing::Test {
  protected:
    std::unique_ptr<Storage> open() {
        auto opened = open_file_storage(options(), disk_);
        EXPECT_TRUE(opened) << opened.error().what;
        return opened ? std::move(*opened) : nullptr;
    }

    void write() {
        const auto storage = open();
        keep(*storage, storage->store_state({.incarnation = 9, .term = Term(1), .voted_for = ReplicaId(2)}));
        append(*storage, 100 * 8); // 2 sectors
        append(*storage, 20 * 8);  // 1
        model_.state = {.incarnation = 9, .term = Term(4), .voted_for = ReplicaId(1)};
        keep(*storage, storage->store_state(model_.state)); // 1
        append(*storage, 200 * 8);                          // 4
    }

    void append(Storage& storage, std::size_t size) {
        const auto bytes = pattern(size, static_cast<unsigned>(model_.end()));
        const std::uint64_t position = model_.end();
        model_.store_log(position, bytes);
        keep(storage, storage.store_log(position, bytes));
    }

    void keep(Storage& storage, Ticket ticket) {
        ASSERT_TRUE(wait_for(storage, ticket));
        history_.push_back(model_);
    }

    // The log, up to some moment of its history.
    bool is_earlier_log(const StoredModel& found) const {
        for (const StoredModel& earlier : history_)
            if (earlier.log == found.log && earlier.base == found.base)
                return true;
        return found.log.empty() && found.base == SnapshotPoint{};
    }

    FakeDisk disk_;
    StoredModel model_;
    std::vector<StoredModel> history_;

    // Where write() puts things, in sectors. Batch 1 (a state) stands at 2.
    static constexpr std::uint64_t batch_2 = 3;
    static constexpr std::uint64_t batch_3 = 5;
    static constexpr std::uint64_t batch_4 = 6;
    static constexpr std::uint64_t batch_5 = 7;
    static constexpr std::uint64_t end = 11;
};

TEST_F(StorageDamageTest, AnUndamagedLogIsReadBackInSilence) {
    write();
    const auto storage = open();
    EXPECT_EQ(read_all(*storage), model_);
    EXPECT_FALSE(storage->recovered().fresh);
    EXPECT_FALSE(storage->recovered().suspect);
    EXPECT_EQ(storage->recovered().report, "");
    EXPECT_EQ(storage->durable(), 0u);
}

TEST_F(StorageDamageTest, AnEmptyFolderIsFresh) {
    EXPECT_TRUE(open()->recovered().fresh);
    const auto again = open();
    EXPECT_TRUE(again->recovered().fresh) << "nothing was stored meanwhile";
    EXPECT_EQ(again->recovered().report, "");
}

TEST_F(StorageDamageTest, EveryFlippedByteIsNoticedAndClassified) {
    write();
    const auto original = disk_.files().at(first_segment);
    ASSERT_FALSE(disk::is_blank(Bytes(original).subspan((end - 1) * sector, sector)));
    ASSERT_TRUE(disk::is_blank(Bytes(original).subspan(end * sector))) << "the test's picture of the file is wrong";
    for (std::uint64_t byte = 0; byte < original.size(); ++byte) {
        SCOPED_TRACE(testing::Message() << "byte " << byte);
        FakeDisk disk;
        disk.put(first_segment, original);
        disk.flip(first_segment, byte, static_cast<std::uint8_t>(1u << byte % 8));
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened) << opened.error().what;
        const Recovered recovered = (*opened)->recovered();
        const StoredModel found = read_all(**opened);
        EXPECT_NE(recovered.report, "");
        const std::uint64_t place = byte / sector;
        // The header stands twice. Batch 1 held no log, as batch 2 shows, which begins at the log's beginning, and
        // an older state. What stands behind a blank sector was never acknowledged.
        const bool harmless = place < batch_2 || place > end;
        EXPECT_EQ(recovered.suspect, !harmless) << recovered.report;
        EXPECT_EQ(recovered.state_suspect, place == end) << recovered.report;
        if (place != end) {
            EXPECT_EQ(found.state, model_.state) << recovered.report;
        }
        if (harmless) {
            EXPECT_EQ(found, model_);
        } else {
            EXPECT_TRUE(is_earlier_log(found)) << recovered.report;
        }
        if (place >= batch_4 && place != end) {
            EXPECT_GE(found.end(), 960u) << "all that stands before the damage can be read";
        }
        if (HasFailure())
            break;
    }
}

TEST_F(StorageDamageTest, TheReportNamesFilePlaceAndBatch) {
    write();
    disk_.flip(first_segment, batch_3 * sector + 100, 1);
    const std::string report = open()->recovered().report;
    EXPECT_NE(report.find(first_segment), std::string::npos) << report;
    EXPECT_NE(report.find("batches 3 to 3 are missing"), std::string::npos) << report;
    FakeDisk& disk = disk_;
    disk.flip(first_segment, batch_3 * sector + 100, 1);
    disk.flip(first_segment, (batch_2 + 1) * sector + 100, 1);
    const std::string other = open()->recovered().report;
    EXPECT_NE(other.find("byte 2048: batch 2 is damaged"), std::string::npos) << other;
}

// What a power cut leaves of the last write: any choice of its sectors. Nobody was told that it was durable.
TEST_F(StorageDamageTest, ACutOffWriteIsNoReasonForSuspicion) {
    write();
    const auto original = disk_.files().at(first_segment);
    StoredModel before = history_[history_.size() - 2];
    for (unsigned survivors = 0; survivors < 16; ++survivors) {
        SCOPED_TRACE(testing::Message() << "survivors " << survivors);
        FakeDisk disk;
        auto image = original;
        for (std::uint64_t at = 0; at < 4; ++at)
            if (!(survivors & 1u << at))
                std::fill_n(image.begin() + static_cast<std::ptrdiff_t>((batch_5 + at) * sector), sector,
                            std::byte{0});
        disk.put(first_segment, image);
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened);
        const Recovered recovered = (*opened)->recovered();
        EXPECT_FALSE(recovered.suspect) << recovered.report;
        EXPECT_FALSE(recovered.state_suspect);
        EXPECT_EQ(recovered.report.empty(), survivors == 0 || survivors == 15) << recovered.report;
        EXPECT_EQ(read_all(**opened), survivors == 15 ? model_ : before);
    }
}

TEST_F(StorageDamageTest, EveryLengthOfTheLastRecordIsJudgedRightly) {
    write();
    const auto original = disk_.files().at(first_segment);
    const StoredModel before = history_[history_.size() - 2];
    for (std::uint64_t length = 0; length < 4 * sector; ++length) {
        SCOPED_TRACE(testing::Message() << "length " << length);
        FakeDisk disk;
        FakeDisk::File image(original.size());
        std::copy_n(original.begin(), batch_5 * sector + length, image.begin());
        disk.put(first_segment, image);
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened);
        const Recovered recovered = (*opened)->recovered();
        const StoredModel found = read_all(**opened);
        EXPECT_EQ(found.state, model_.state);
        EXPECT_EQ(found.log, before.log);
        EXPECT_EQ(recovered.report.empty(), length == 0);
        // With a blank sector, it was cut off. With a damaged one in its place (no device tears sectors, but bits
        // may rot), nobody can tell, unless another one is blank.
        std::uint64_t written = length; // a sector that ends in zeros is whole before its end
        while (written % sector != 0 && original[batch_5 * sector + written] == std::byte{0})
            ++written;
        const std::uint64_t reached = written % sector == 0 ? written : length;
        const bool first_is_blank = length == 0;
        const bool some_blank = reached <= 3 * sector && reached >= sector;
        EXPECT_EQ(recovered.suspect, !(first_is_blank || some_blank)) << recovered.report;
        if (HasFailure())
            break;
    }
}

TEST_F(StorageDamageTest, AnAcknowledgedWriteThatVanishedIsRot) {
    write();
    auto image = disk_.files().at(first_segment);
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(batch_3 * sector), sector, std::byte{0});
    disk_.put(first_segment, image);
    const auto storage = open();
    EXPECT_TRUE(storage->recovered().suspect);
    EXPECT_EQ(storage->recovered().state, model_.state) << "the state behind it still counts";
    EXPECT_EQ(read_all(*storage).log, history_[1].log);
}

TEST_F(StorageDamageTest, ABlankSectorProvesNothingWhereMoreWasWrittenLater) {
    write();
    auto image = disk_.files().at(first_segment);
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>((batch_2 + 1) * sector), sector, std::byte{0});
    disk_.put(first_segment, image);
    const auto storage = open();
    EXPECT_TRUE(storage->recovered().suspect);
    EXPECT_EQ(storage->recovered().state, model_.state);
    EXPECT_EQ(storage->recovered().report.find("never acknowledged"), std::string::npos)
        << storage->recovered().report;
    EXPECT_TRUE(read_all(*storage).log.empty());
}

TEST_F(StorageDamageTest, ALostStateIsSuspectedUntilOneIsStored) {
    write();
    {
        const auto storage = open();
        model_.state.term = Term(9);
        keep(*storage, storage->store_state(model_.state));
    }
    disk_.flip(first_segment, end * sector, 1);
    for (int time = 0; time < 2; ++time) {
        const auto storage = open();
        EXPECT_TRUE(storage->recovered().state_suspect) << time;
        EXPECT_EQ(storage->recovered().state.term, Term(4));
    }
    {
        const auto storage = open();
        keep(*storage, storage->store_state({.incarnation = 10, .term = Term(9), .voted_for = nobody}));
    }
    EXPECT_FALSE(open()->recovered().state_suspect);
}

TEST_F(StorageDamageTest, ALostEntryIsSuspectedUntilTheLogIsRepaired) {
    write();
    disk_.flip(first_segment, batch_3 * sector, 1);
    model_ = history_[1];
    for (int time = 0; time < 3; ++time) {
        const auto storage = open();
        EXPECT_TRUE(storage->recovered().suspect) << time;
        EXPECT_EQ(read_all(*storage).log, model_.log) << time;
        append(*storage, 64);
        append(*storage, 720);
    }
    {
        const auto storage = open();
        EXPECT_EQ(read_all(*storage).log, model_.log) << "what was stored after the damage is there";
        keep(*storage, storage->store_repaired());
    }
    const auto storage = open();
    EXPECT_FALSE(storage->recovered().suspect) << storage->recovered().report;
    EXPECT_EQ(read_all(*storage).log, model_.log);
}

// Damage again and again, at random, to logs that go on growing: never a byte that was not stored.
TEST_F(StorageDamageTest, DamageUponDamageNeverYieldsWhatWasNotStored) {
    for (std::uint64_t seed = 1; seed <= 150 && !HasFailure(); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937_64 random(seed);
        FakeDisk disk(seed);
        StoredModel model;
        std::vector<StoredModel> history{model};
        for (int life = 0; life < 8 && !HasFailure(); ++life) {
            auto opened = open_file_storage(options(), disk);
            ASSERT_TRUE(opened) << opened.error().what;
            Storage& storage = **opened;
            const Recovered recovered = storage.recovered();
            const StoredModel found = read_all(storage);
            ASSERT_FALSE(storage.failure()) << storage.failure()->what;
            if (!recovered.suspect) {
                EXPECT_EQ(found.base.position, model.base.position) << recovered.report;
                EXPECT_EQ(found.log, model.log) << recovered.report;
            } else {
                bool known = found.log.empty();
                for (const StoredModel& earlier : history) {
                    StoredModel clipped = earlier;
                    if (found.base.position > clipped.base.position)
                        clipped.store_base(found.base);
                    known = known || clipped.log == found.log;
                }
                EXPECT_TRUE(known) << recovered.report;
            }
            if (!recovered.state_suspect) {
                EXPECT_EQ(found.state, model.state) << recovered.report;
            }
            model = found;
            history.push_back(model);
            if (recovered.suspect && random() % 2 == 0)
                wait_for(storage, storage.store_repaired());
            for (std::uint64_t steps = random() % 12; steps > 0; --steps) {
                Ticket ticket = 0;
                if (random() % 6 == 0) {
                    model.state.term = model.state.term.next();
                    ticket = storage.store_state(model.state);
                } else if (random() % 8 == 0) {
                    const SnapshotPoint point = base_at(model.base.position + model.log.size() / 16 * 8);
                    model.store_base(point);
                    ticket = storage.store_base(point);
                } else {
                    const std::uint64_t back = random() % 5 == 0 ? model.log.size() / 24 * 8 : 0;
                    const auto bytes = pattern(8 + random() % 200 * 8, static_cast<unsigned>(random()));
                    const std::uint64_t position = model.end() - back;
                    model.store_log(position, bytes);
                    ticket = storage.store_log(position, bytes);
                }
                ASSERT_TRUE(wait_for(storage, ticket));
                history.push_back(model);
            }
            opened->reset();
            if (random() % 3 == 0)
                continue;
            auto files = disk.files();
            std::erase_if(files, [](const auto& file) {
                return !file.first.starts_with("/d/log-") || file.first.ends_with(".damaged");
            });
            auto victim = files.begin();
            std::advance(victim, static_cast<std::ptrdiff_t>(random() % files.size()));
            // Where something stands, mostly.
            std::uint64_t used = victim->second.size() / sector;
            while (used > 1 && disk::is_blank(Bytes(victim->second).subspan((used - 1) * sector, sector)))
                --used;
            disk.flip(victim->first, random() % ((used + 1) * sector) % victim->second.size(), 0x10);
        }
    }
}

TEST_F(StorageDamageTest, BytesThatTheDeviceDoesNotGiveAreDamage) {
    write();
    disk_.make_unreadable(first_segment, 4096, 4097);
    const auto storage = open();
    EXPECT_TRUE(storage->recovered().suspect);
    EXPECT_NE(storage->recovered().report.find("could not be read"), std::string::npos)
        << storage->recovered().report;
    EXPECT_EQ(storage->recovered().state, model_.state);
}

TEST_F(StorageDamageTest, WhatRotsBetweenOpeningAndReadingIsAFailure) {
    write();
    const auto storage = open();
    disk_.flip(first_segment, batch_2 * sector + 99, 4);
    EXPECT_FALSE(storage->read_back());
    ASSERT_TRUE(storage->failure());
    EXPECT_EQ(storage->store_state({}), 0u);
}

TEST_F(StorageDamageTest, ASegmentThatIsGoneIsNoticed) {
    const auto storage = open();
    while (disk_.files().size() < 4) // three segments and the lock
        append(*storage, 800);
    FakeDisk disk;
    for (const auto& [path, file] : disk_.files())
        if (path != "/d/log-0000000000000002" && path != "/d/lock")
            disk.put(path, file);
    auto opened = open_file_storage(options(), disk);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_TRUE((*opened)->recovered().suspect);
    const StoredModel found = read_all(**opened);
    EXPECT_TRUE(is_earlier_log(found));
    EXPECT_GT(found.end(), 2000u);
    bool aside = false;
    for (const auto& [path, file] : disk.files())
        aside = aside || path == "/d/log-0000000000000003.damaged";
    EXPECT_TRUE(aside) << "what lies behind a gap is kept for those who want to look";
}

TEST_F(StorageDamageTest, FilesOfOthersAreLeftAlone) {
    write();
    const auto files = disk_.files();
    const auto refused = [&](auto change, const char* word) {
        FileStorageOptions other = options();
        change(other);
        const auto opened = open_file_storage(other, disk_);
        ASSERT_FALSE(opened);
        EXPECT_NE(opened.error().what.find(word), std::string::npos) << opened.error().what;
        EXPECT_EQ(disk_.files(), files);
    };
    refused([](auto& other) { other.group[0] ^= 1; }, "another group");
    refused([](auto& other) { other.self = ReplicaId(4); }, "another group or replica");
}

} // namespace
} // namespace rdma_paxos
