// SPDX-License-Identifier: Apache-2.0
//
// Devices that fill up, refuse and disappear; folders in use; segments that come and go; the queue.
#include "storage/disk_format.h"
#include "storage/file_storage_impl.h"
#include "storage_fake_disk.h"
#include "storage_model.h"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rdma_paxos {
namespace {

FileStorageOptions options() {
    return {.folder = "/d", .group = {1, 2}, .self = ReplicaId(3), .segment_bytes = 8192, .queue_bytes = 8192};
}

std::unique_ptr<Storage> open(FakeDisk& disk) {
    auto opened = open_file_storage(options(), disk);
    EXPECT_TRUE(opened) << opened.error().what;
    return opened ? std::move(*opened) : nullptr;
}

bool append(Storage& storage, StoredModel& model, std::size_t size) {
    const auto bytes = pattern(size, static_cast<unsigned>(model.end()));
    StoredModel next = model;
    next.store_log(model.end(), bytes);
    const bool stored = wait_for(storage, storage.store_log(model.end(), bytes)) && !storage.failure();
    if (stored)
        model = next;
    return stored;
}

std::vector<std::string> segments(FakeDisk& disk) {
    std::vector<std::string> names;
    for (const auto& [path, file] : disk.files())
        if (disk::segment_number(path.substr(3)))
            names.push_back(path);
    return names;
}

void expect_failed_for_good(Storage& storage, const char* path, const char* reason) {
    ASSERT_TRUE(storage.failure());
    EXPECT_NE(storage.failure()->what.find(path), std::string::npos) << storage.failure()->what;
    EXPECT_NE(storage.failure()->what.find(reason), std::string::npos) << storage.failure()->what;
    const Ticket before = storage.durable();
    EXPECT_EQ(storage.store_state({.incarnation = 1, .term = Term(99), .voted_for = nobody}), 0u);
    EXPECT_EQ(storage.store_log(0, pattern(8, 0)), 0u);
    EXPECT_EQ(storage.store_base(base_at(8)), 0u);
    EXPECT_EQ(storage.durable(), before);
}

TEST(StorageFaults, AFullDiskStopsItAndLosesNothing) {
    FakeDisk disk;
    disk.limit_space(3 * 8192);
    StoredModel model;
    {
        const auto storage = open(disk);
        while (append(*storage, model, 1000))
            ;
        expect_failed_for_good(*storage, "/d/log-0000000000000004", "No space left on device");
        EXPECT_GT(model.end(), 10000u) << "three segments are full";
    }
    EXPECT_EQ(segments(disk).size(), 3u) << "the file that could not be allocated is not left behind";
    disk.restart();
    disk.limit_space(100 * 8192);
    const auto storage = open(disk);
    EXPECT_EQ(read_all(*storage), model);
    EXPECT_FALSE(storage->recovered().suspect);
}

TEST(StorageFaults, AnErrorOfTheDeviceStopsItForGood) {
    const struct {
        const char* call;
        int error;
    } cases[] = {{"pwrite", EIO}, {"pwrite", ENOSPC}, {"pwrite", ENODEV}, {"fallocate", EIO}, {"fsync", EIO}};
    for (const auto& test : cases) {
        SCOPED_TRACE(testing::Message() << test.call << ": " << std::strerror(test.error));
        FakeDisk disk;
        StoredModel model;
        {
            const auto storage = open(disk);
            ASSERT_TRUE(append(*storage, model, 1000));
            disk.fail(test.call, test.error, 2);
            while (append(*storage, model, 1000))
                ASSERT_LT(model.end(), 100000u);
            expect_failed_for_good(*storage, "/d/", std::strerror(test.error));
        }
        disk.restart();
        const auto storage = open(disk);
        StoredModel found = read_all(*storage);
        found.log.resize(std::min(found.log.size(), model.log.size())); // what failed may be there all the same
        EXPECT_EQ(found, model) << storage->recovered().report;
    }
}

TEST(StorageFaults, OpeningSaysWhatDidNotWork) {
    for (const char* call : {"mkdir", "open", "flock", "list", "pread", "pwrite", "fallocate", "fsync", "size"}) {
        FakeDisk disk;
        if (std::strcmp(call, "pread") == 0 || std::strcmp(call, "size") == 0)
            open(disk);
        disk.fail(call, EACCES);
        const auto opened = open_file_storage(options(), disk);
        if (std::strcmp(call, "pread") == 0) { // that is damage, and no error
            EXPECT_TRUE(opened && (*opened)->recovered().suspect);
            continue;
        }
        ASSERT_FALSE(opened) << call;
        EXPECT_NE(opened.error().what.find("/d"), std::string::npos) << opened.error().what;
        EXPECT_NE(opened.error().what.find("Permission denied"), std::string::npos) << opened.error().what;
    }
}

TEST(StorageFaults, AFolderInUseIsRefused) {
    FakeDisk disk;
    const auto storage = open(disk);
    const auto second = open_file_storage(options(), disk);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("in use"), std::string::npos) << second.error().what;
}

TEST(StorageFaults, AnotherFormatVersionIsRefusedAndLeftAlone) {
    FakeDisk disk;
    open(disk).reset();
    auto image = disk.files().at("/d/log-0000000000000001");
    for (std::size_t copy : {0u, 512u}) {
        image[copy + 8] = std::byte{1};
        const std::uint64_t check = XXH3_64bits(image.data() + copy, 504);
        std::memcpy(image.data() + copy + 504, &check, 8);
    }
    disk.put("/d/log-0000000000000001", image);
    const auto files = disk.files();
    const auto opened = open_file_storage(options(), disk);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().what.find("another version"), std::string::npos) << opened.error().what;
    EXPECT_EQ(disk.files(), files);
}

TEST(StorageFaults, SegmentsThatTheBaseHasPassedAreRemoved) {
    FakeDisk disk;
    StoredModel model;
    {
        const auto storage = open(disk);
        std::size_t most = 0;
        for (int step = 0; step < 200; ++step) {
            ASSERT_TRUE(append(*storage, model, 1000));
            if (step % 5 == 4) {
                model.store_base(base_at(model.end() - 1000));
                ASSERT_TRUE(wait_for(*storage, storage->store_base(model.base)));
            }
            most = std::max(most, segments(disk).size());
        }
        EXPECT_LE(most, 4u);
        EXPECT_GT(segments(disk).back(), "/d/log-0000000000000010");
    }
    const auto storage = open(disk);
    EXPECT_EQ(read_all(*storage), model);
    EXPECT_EQ(storage->recovered().report, "");
}

TEST(StorageFaults, ABaseBehindEverythingStartsTheLogAnew) {
    FakeDisk disk;
    StoredModel model;
    {
        const auto storage = open(disk);
        append(*storage, model, 2400);
        const auto bytes = pattern(80, 1);
        model.store_log(800, bytes); // supersedes: the log now ends with 880
        wait_for(*storage, storage->store_log(800, bytes));
        model.store_base(base_at(1600)); // behind that, but within what was superseded
        wait_for(*storage, storage->store_base(model.base));
    }
    {
        const auto storage = open(disk);
        EXPECT_EQ(read_all(*storage), model) << "what was superseded is not back";
        append(*storage, model, 160);
    }
    EXPECT_EQ(read_all(*open(disk)), model);
}

TEST(StorageFaults, AStretchLargerThanSegmentAndQueueIsTaken) {
    FakeDisk disk;
    StoredModel model;
    {
        const auto storage = open(disk);
        ASSERT_TRUE(append(*storage, model, 100000));
        ASSERT_TRUE(append(*storage, model, 16));
    }
    EXPECT_EQ(read_all(*open(disk)), model);
}

// A disk that waits for the test.
class SlowDisk : public FakeDisk {
  public:
    std::mutex gate;
    std::atomic<int> writes = 0;
    ssize_t pwrite(int file, Bytes bytes, std::uint64_t offset) override {
        const std::lock_guard lock(gate);
        ++writes;
        return FakeDisk::pwrite(file, bytes, offset);
    }
};

TEST(StorageFaults, WhatComesDuringAWriteGoesOutWithTheNext) {
    SlowDisk disk;
    StoredModel model;
    {
        const auto storage = open(disk);
        const int before = disk.writes;
        disk.gate.lock();
        Ticket last = 0;
        for (int step = 0; step < 40; ++step) {
            const auto bytes = pattern(40, static_cast<unsigned>(step));
            last = storage->store_log(model.end(), bytes);
            ASSERT_GT(last, 0u);
            model.store_log(model.end(), bytes);
        }
        EXPECT_EQ(storage->durable(), 0u) << "nothing is on disk yet";
        disk.gate.unlock();
        ASSERT_TRUE(wait_for(*storage, last));
        EXPECT_LE(disk.writes - before, 2);
    }
    EXPECT_EQ(read_all(*open(disk)), model);
}

TEST(StorageFaults, AFullQueueSaysSoAndTakesMoreLater) {
    SlowDisk disk;
    const auto storage = open(disk);
    const auto bytes = pattern(1000, 0);
    disk.gate.lock();
    std::uint64_t position = 0;
    Ticket last = 0;
    Ticket ticket = 0;
    while ((ticket = storage->store_log(position, bytes)) != 0) {
        last = ticket;
        position += bytes.size();
        ASSERT_LT(position, 20000u);
    }
    EXPECT_FALSE(storage->failure());
    disk.gate.unlock();
    ASSERT_TRUE(wait_for(*storage, last));
    EXPECT_EQ(storage->store_log(position, bytes), last + 1);
}

TEST(StorageFaults, WhatWasHandedOverIsWrittenBeforeItCloses) {
    FakeDisk disk;
    {
        const auto storage = open(disk);
        for (std::uint64_t term = 1; term <= 30; ++term)
            ASSERT_NE(storage->store_state({.incarnation = 1, .term = Term(term), .voted_for = nobody}), 0u);
    }
    EXPECT_EQ(open(disk)->recovered().state.term, Term(30));
}

} // namespace
} // namespace rdma_paxos
