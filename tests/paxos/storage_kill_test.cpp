// SPDX-License-Identifier: Apache-2.0
//
// A real process on a real file system, killed without warning in the middle of storing: everything it reported
// durable is there.
#include "rdma_paxos/file_storage.h"
#include "storage_model.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <sys/wait.h>
#include <unistd.h>

namespace rdma_paxos {
namespace {

class StorageKillTest : public testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::create_directories("build/test");
        std::string pattern = std::filesystem::absolute("build/test/storage-XXXXXX");
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override {
        if (HasFailure())
            std::fprintf(stderr, "the files are kept in %s\n", folder_.c_str());
        else
            std::filesystem::remove_all(folder_);
    }

    FileStorageOptions options() const {
        return {.folder = folder_ + "/log",
                .group = {7},
                .self = ReplicaId(1),
                .segment_bytes = 1u << 20,
                .queue_bytes = 1u << 20};
    }

    // Bytes of the log follow from their position alone.
    static std::vector<std::byte> bytes_at(std::uint64_t position, std::size_t size) {
        std::vector<std::byte> bytes(size);
        for (std::size_t at = 0; at < size; ++at)
            bytes[at] = static_cast<std::byte>((position + at) * 2654435761u >> 13);
        return bytes;
    }

    // Stores without end; tells through the pipe, as the term, how far the log is durable.
    [[noreturn]] void store_until_killed(int pipe, std::uint64_t seed) const {
        auto opened = open_file_storage(options());
        if (!opened)
            std::_Exit(2);
        Storage& storage = **opened;
        std::mt19937_64 random(seed);
        std::uint64_t end = read_all(storage).end();
        std::vector<std::pair<Ticket, std::uint64_t>> waiting;
        for (;;) {
            const auto bytes = bytes_at(end, 8 + random() % 4000 * 8);
            if (const Ticket ticket = storage.store_log(end, bytes)) {
                end += bytes.size();
                waiting.emplace_back(ticket, end);
            } else if (storage.failure()) {
                std::_Exit(3);
            }
            const Ticket durable = storage.durable();
            std::uint64_t report = 0;
            while (!waiting.empty() && waiting.front().first <= durable) {
                report = waiting.front().second;
                waiting.erase(waiting.begin());
            }
            if (report != 0 && ::write(pipe, &report, sizeof report) != sizeof report)
                std::_Exit(4);
        }
    }

    std::string folder_;
};

TEST_F(StorageKillTest, EverythingReportedDurableIsThere) {
    std::uint64_t reported = 0;
    for (unsigned round = 0; round < 5; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::close(ends[0]);
            store_until_killed(ends[1], round);
        }
        ::close(ends[1]);
        std::uint64_t value = 0;
        // After so many reports, in the middle of what follows.
        for (unsigned reports = 0;
             reports < 10 + round * 3 && ::read(ends[0], &value, sizeof value) == sizeof value; ++reports)
            reported = value;
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status)) << "the child gave up by itself: " << WEXITSTATUS(status);
        while (::read(ends[0], &value, sizeof value) == sizeof value)
            reported = value;
        ::close(ends[0]);

        const auto opened = open_file_storage(options());
        ASSERT_TRUE(opened) << opened.error().what;
        const StoredModel found = read_all(**opened);
        EXPECT_FALSE((*opened)->recovered().suspect) << (*opened)->recovered().report;
        EXPECT_GE(found.end(), reported);
        EXPECT_EQ(found.log, bytes_at(0, found.log.size()));
    }
    EXPECT_GT(reported, 0u);
}

TEST_F(StorageKillTest, AFolderInUseIsRefusedAndCanBeHadAfterwards) {
    {
        const auto first = open_file_storage(options());
        ASSERT_TRUE(first) << first.error().what;
        const auto second = open_file_storage(options());
        ASSERT_FALSE(second);
        EXPECT_NE(second.error().what.find("in use by another process"), std::string::npos) << second.error().what;
    }
    EXPECT_TRUE(open_file_storage(options()));
}

TEST_F(StorageKillTest, TheEventIsReadableOnceAndNotForEver) {
    const auto opened = open_file_storage(options());
    ASSERT_TRUE(opened);
    Storage& storage = **opened;
    const Ticket ticket = storage.store_state({.incarnation = 1, .term = Term(1), .voted_for = nobody});
    pollfd event{.fd = storage.event_fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&event, 1, 30000), 1);
    while (storage.durable() < ticket)
        ;
    // One more wake-up may be for nothing; then there is silence.
    while (::poll(&event, 1, 0) == 1)
        storage.durable();
    EXPECT_EQ(storage.durable(), ticket);
}

} // namespace
} // namespace rdma_paxos
