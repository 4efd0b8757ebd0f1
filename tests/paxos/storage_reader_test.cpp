// SPDX-License-Identifier: Apache-2.0
//
// scripts/rdma-paxos-log, which was written from the format's description alone, over files that FileStorage wrote,
// undamaged and damaged: both must come to the same conclusion.
#include "consensus/log_ring.h"
#include "storage/disk_format.h"
#include "storage/file_storage_impl.h"
#include "storage_fake_disk.h"
#include "storage_model.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace rdma_paxos {
namespace {

constexpr std::uint64_t sector = disk::sector_bytes;
constexpr std::size_t ring_bytes = 16384;

struct Reading {
    int code = -1;
    std::string output;
    nlohmann::json json;
};

class StorageReaderTest : public testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::create_directories("build/test");
        std::string pattern = std::filesystem::absolute("build/test/reader-XXXXXX");
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static FileStorageOptions options() {
        return {
            .folder = "/d", .group = {0xab, 2}, .self = ReplicaId(5), .segment_bytes = 16384, .queue_bytes = 65536};
    }

    // A log of real entries that runs through the ring's end twice, with a change of membership, a state, a base,
    // and a tail that is superseded.
    void write(FakeDisk& disk, bool with_base) {
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened) << opened.error().what;
        Storage& storage = **opened;
        wait_for(storage, storage.store_state({.incarnation = 77, .term = Term(2), .voted_for = ReplicaId(5)}));
        std::vector<std::byte> memory(ring_bytes);
        LogRing ring(memory);
        Cursor at;
        at.check = genesis_check(options().group);
        Cursor middle;
        for (std::uint64_t entry = 1; entry <= 60; ++entry) {
            const auto body = pattern(entry * 37 % 1100, static_cast<unsigned>(entry));
            if (entry == 21)
                middle = at;
            store_entry(storage, ring, at, entry % 7 == 0 ? EntryKind::no_op : EntryKind::user, Term(2), body);
            if (entry == 24) // the leader of term 2 is deposed; its last four entries were not committed
                at = middle;
        }
        wait_for(storage, storage.store_state({.incarnation = 77,
                                               .term = Term(3),
                                               .voted_for = ReplicaId(1),
                                               .membership = {middle.index, middle.term},
                                               .ring_bytes = ring_bytes}));
        if (with_base) {
            SnapshotPoint base{.index = Index(middle.index),
                               .term = middle.term,
                               .position = middle.position,
                               .check = middle.check,
                               .membership = {}};
            base.membership.voters.add({.id = ReplicaId(1), .witness = false, .incarnation = 7});
            wait_for(storage, storage.store_base(base));
        }
        for (std::uint64_t entry = 1; entry <= 5; ++entry)
            store_entry(storage, ring, at, EntryKind::user, Term(3), pattern(700, static_cast<unsigned>(entry)));
        last_ = at;
    }

    static void store_entry(Storage& storage, LogRing& ring, Cursor& at, EntryKind kind, Term term, Bytes body) {
        const Cursor after = ring.append(at, term, Index(0), kind, body);
        // As the ring has them: two pieces at its end.
        for (std::uint64_t from = at.position; from < after.position;) {
            const auto piece = ring.piece(from, after.position, ring_bytes);
            ASSERT_TRUE(wait_for(storage, storage.store_log(from, piece)));
            from += piece.size();
        }
        at = after;
    }

    Reading read(FakeDisk& disk, const std::string& flags = "") {
        for (const auto& entry : std::filesystem::directory_iterator(folder_))
            std::filesystem::remove(entry.path());
        for (const auto& [path, bytes] : disk.files()) {
            std::ofstream file(folder_ + path.substr(2), std::ios::binary);
            file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        }
        Reading reading;
        FILE* pipe = ::popen(("scripts/rdma-paxos-log --json " + flags + " " + folder_ + " 2>&1").c_str(), "r");
        for (int letter = 0; (letter = std::fgetc(pipe)) != EOF;)
            reading.output += static_cast<char>(letter);
        const int status = ::pclose(pipe);
        reading.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        reading.json = nlohmann::json::parse(reading.output, nullptr, false);
        return reading;
    }

    std::string folder_;
    Cursor last_;
};

TEST_F(StorageReaderTest, ReadsAWholeLogEntryByEntry) {
    for (const bool with_base : {false, true}) {
        FakeDisk disk;
        write(disk, with_base);
        const Reading reading = read(disk, "--long");
        ASSERT_EQ(reading.code, 0) << reading.output;
        EXPECT_EQ(reading.json["verdict"], "whole");
        EXPECT_EQ(reading.json["findings"].size(), 0u);
        EXPECT_EQ(reading.json["replica"], 5);
        EXPECT_EQ(reading.json["state"]["term"], 3);
        EXPECT_EQ(reading.json["state"]["voted_for"], 1);
        EXPECT_EQ(reading.json["state"]["membership"]["index"], 20);
        EXPECT_EQ(reading.json["state"]["membership"]["term"], 2);
        EXPECT_EQ(reading.json["state"]["ring_bytes"], ring_bytes);
        EXPECT_EQ(reading.json["last_index"], last_.index.value());
        EXPECT_EQ(reading.json["log_end"], last_.position);
        EXPECT_EQ(reading.json["first_index"], with_base ? 21 : 1);
        const auto& entries = reading.json["entry_list"];
        EXPECT_EQ(entries.back()["check"], last_.check);
        EXPECT_EQ(entries.back()["length"], 700);
        EXPECT_EQ(entries.back()["kind"], "user");
        bool fillers = false;
        for (const auto& entry : entries)
            fillers = fillers || entry["kind"] == "filler";
        EXPECT_TRUE(fillers) << "the log ran through the ring's end";
    }
}

// Both readers must agree about a flipped bit in any sector, and about every cut-off last write.
TEST_F(StorageReaderTest, AgreesWithRecoveryAboutDamage) {
    FakeDisk original;
    write(original, false);
    const auto files = original.files();
    unsigned torn = 0;
    unsigned rot = 0;
    unsigned lost = 0;
    const auto compare = [&](FakeDisk& disk) {
        const Reading reading = read(disk);
        ASSERT_TRUE(reading.code == 0 || reading.code == 3 || reading.code == 4) << reading.output;
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened) << opened.error().what;
        const Recovered& recovered = (*opened)->recovered();
        SCOPED_TRACE(recovered.report + "\n" + reading.output);
        if (recovered.suspect || recovered.state_suspect) {
            EXPECT_EQ(reading.code, 4);
        } else {
            EXPECT_EQ(reading.code == 0, recovered.report.empty());
        }
        torn += reading.code == 3;
        rot += reading.code == 4;
        EXPECT_EQ(reading.json["state"]["term"], recovered.state.term.value());
        EXPECT_EQ(reading.json["state"]["membership"]["index"], recovered.state.membership.index.value());
        lost += reading.output.find("a membership stood in the log") != std::string::npos;
        EXPECT_EQ(reading.json["log_end"], read_all(**opened).end());
    };
    for (const auto& [path, bytes] : files) {
        if (!disk::segment_number(path.substr(3)))
            continue;
        for (std::uint64_t place = 0; place < bytes.size() / sector;
             place += path == files.rbegin()->first ? 1 : 3) {
            SCOPED_TRACE(testing::Message() << path << ", sector " << place);
            FakeDisk disk;
            for (const auto& [other, content] : files)
                disk.put(other, content);
            disk.flip(path, place * sector + place * 13 % sector, 1);
            compare(disk);
            if (HasFailure())
                return;
        }
    }
    auto& last = files.rbegin()->second;
    std::uint64_t end = last.size() / sector;
    while (disk::is_blank(Bytes(last).subspan((end - 1) * sector, sector)))
        --end;
    for (std::uint64_t place = end - 2; place < end; ++place) { // the last batch has two sectors
        FakeDisk disk;
        auto image = last;
        std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(place * sector), sector, std::byte{0});
        for (const auto& [other, content] : files)
            disk.put(other, other == files.rbegin()->first ? image : content);
        compare(disk);
    }
    EXPECT_EQ(torn, 2u);
    EXPECT_GT(rot, 10u);
    EXPECT_GT(lost, 0u);
    EXPECT_LT(lost, rot) << "behind it, or in the state alone, no entry of it is lost";
}

TEST_F(StorageReaderTest, NoticesAnEntryThatIsNoneThoughAllSectorsAreWhole) {
    FakeDisk disk;
    write(disk, false);
    {
        auto opened = open_file_storage(options(), disk);
        ASSERT_TRUE(opened);
        Storage& storage = **opened;
        ASSERT_TRUE(wait_for(storage, storage.store_log(last_.position, pattern(80, 3))));
    }
    const Reading reading = read(disk);
    EXPECT_EQ(reading.code, 4) << reading.output;
    EXPECT_NE(reading.output.find("chain ends at position " + std::to_string(last_.position)), std::string::npos)
        << reading.output;
}

TEST_F(StorageReaderTest, ALogAfterRecoveryFromATornWriteIsWhole) {
    FakeDisk disk;
    write(disk, false);
    auto image = disk.files().rbegin()->second;
    const std::string path = disk.files().rbegin()->first;
    std::uint64_t end = image.size() / sector;
    while (disk::is_blank(Bytes(image).subspan((end - 1) * sector, sector)))
        --end;
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>((end - 1) * sector), sector, std::byte{0});
    disk.put(path, image);
    EXPECT_EQ(read(disk).code, 3);
    ASSERT_TRUE(open_file_storage(options(), disk));
    const Reading reading = read(disk);
    EXPECT_EQ(reading.code, 0) << reading.output;
}

TEST_F(StorageReaderTest, SaysWhatItCannotJudge) {
    FakeDisk disk;
    EXPECT_EQ(read(disk).code, 1) << "an empty folder";
    disk.put("/d/log-0000000000000001", FakeDisk::File(8192, std::byte{0x55}));
    EXPECT_EQ(read(disk).code, 1) << "no readable header";
}

} // namespace
} // namespace rdma_paxos
