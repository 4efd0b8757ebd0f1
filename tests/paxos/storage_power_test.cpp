// SPDX-License-Identifier: Apache-2.0
//
// Power cuts at random moments of random histories: everything that was reported durable is there, in the order in
// which it was handed over, and nothing is suspected. FAULT_SEED=N and FAULT_SEEDS=N choose the histories.
#include "storage/file_storage_impl.h"
#include "storage_fake_disk.h"
#include "storage_model.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

FileStorageOptions options() {
    return {.folder = "/d", .group = {1, 2}, .self = ReplicaId(3), .segment_bytes = 8192, .queue_bytes = 8192};
}

class History {
  public:
    explicit History(std::uint64_t seed) : random_(seed), disk_(seed) {}

    void run(int lives) {
        for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) {
            SCOPED_TRACE(testing::Message() << "life " << life);
            live();
        }
    }

  private:
    void live() {
        // A life begins with what the last one was told to be durable, or more, up to what it handed over.
        disk_.cut_power_after(random_() % 60);
        Ticket durable = 0;
        std::vector<StoredModel> history{known_};
        {
            auto opened = open_file_storage(options(), disk_);
            if (opened) {
                Storage& storage = **opened;
                const StoredModel found = read_all(storage);
                if (!disk_.power_is_cut())
                    check(storage, found);
                while (!storage.failure() && history.size() < 200)
                    step(storage, history);
                durable = storage.durable();
            } else {
                ASSERT_TRUE(disk_.power_is_cut()) << opened.error().what;
            }
        }
        disk_.restart();
        auto again = open_file_storage(options(), disk_);
        ASSERT_TRUE(again) << again.error().what;
        const StoredModel found = read_all(**again);
        EXPECT_FALSE((*again)->recovered().suspect) << (*again)->recovered().report;
        EXPECT_FALSE((*again)->recovered().state_suspect) << (*again)->recovered().report;
        bool known = false;
        for (std::size_t at = durable; at < history.size() && !known; ++at)
            known = history[at] == found;
        EXPECT_TRUE(known) << "state of term " << found.state.term.value() << ", log from " << found.base.position
                           << " to " << found.end() << "; " << durable << " of " << history.size() - 1
                           << " were durable; " << (*again)->recovered().report;
        known_ = found;
    }

    void check(Storage& storage, const StoredModel& found) {
        EXPECT_TRUE(found == known_) << storage.recovered().report;
        EXPECT_FALSE(storage.recovered().suspect) << storage.recovered().report;
    }

    void step(Storage& storage, std::vector<StoredModel>& history) {
        StoredModel next = history.back();
        Ticket ticket = 0;
        switch (random_() % 8) {
        case 0:
            next.state = {.incarnation = 5,
                          .term = next.state.term.next(),
                          .voted_for = ReplicaId(static_cast<std::uint8_t>(random_() % 7))};
            ticket = storage.store_state(next.state);
            break;
        case 1: {
            const bool ahead = random_() % 8 == 0;
            const SnapshotPoint point =
                base_at(ahead ? next.end() + 8 * (random_() % 100) : next.base.position + next.log.size() / 16 * 8);
            next.store_base(point);
            ticket = storage.store_base(point);
            break;
        }
        case 2: { // a leader that was deposed leaves a tail, which is superseded
            const std::uint64_t position = next.base.position + (next.log.size() / 8 * (random_() % 8)) / 8 * 8;
            ticket = store_log(storage, next, position);
            break;
        }
        default:
            ticket = store_log(storage, next, next.end());
        }
        if (ticket == 0) { // the queue is full, or it is over
            wait_for(storage, history.size() - 1);
            return;
        }
        EXPECT_EQ(ticket, history.size());
        history.push_back(next);
        if (random_() % 3 == 0)
            wait_for(storage, ticket);
    }

    Ticket store_log(Storage& storage, StoredModel& next, std::uint64_t position) {
        const auto bytes =
            pattern(8 + random_() % 300 * 8 % (random_() % 4 == 0 ? 6000 : 600), static_cast<unsigned>(random_()));
        const auto whole = Bytes(bytes).first(bytes.size() / 8 * 8);
        next.store_log(position, whole);
        return storage.store_log(position, whole);
    }

    std::mt19937_64 random_;
    FakeDisk disk_;
    StoredModel known_;
};

TEST(StoragePower, WhatWasDurableSurvivesEveryCut) {
    const auto number = [](const char* name, std::uint64_t fallback) {
        const char* text = std::getenv(name);
        return text ? std::strtoull(text, nullptr, 10) : fallback;
    };
    const std::uint64_t first = number("FAULT_SEED", 1);
    const std::uint64_t count = number("FAULT_SEEDS", std::getenv("FAULT_SEED") ? 1 : 60);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE(testing::Message() << "reproduce with: FAULT_SEED=" << seed
                                        << " build/bin/paxos-storage-test --gtest_filter=StoragePower.*");
        History(seed).run(12);
        if (HasFailure())
            break;
    }
}

} // namespace
} // namespace rdma_paxos
