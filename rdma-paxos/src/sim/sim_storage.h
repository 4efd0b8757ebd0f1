// SPDX-License-Identifier: Apache-2.0
//
// A simulated disk, and the storage on it. The disk outlives its program's crashes: what was durable is still
// there, what was being written may be, in part. It can be slow or fail, a write that it reported may be missing,
// and what it holds can rot; recovery then concludes what the storage in files would (docs/consensus-formats.md,
// "What recovery concludes").
#pragma once

#include "rdma_paxos/storage.h"
#include "sim/sim_network.h"

#include <functional>

namespace rdma_paxos::sim {

struct DiskOptions {
    Nanoseconds write_min = 100us;
    Nanoseconds write_max = 2ms;
    std::size_t queue_bytes = 64 << 10; ///< handed over and not yet durable
};

class SimDisk final : private EventHandler {
  public:
    /// `progress` is called when something has become durable, or the disk failed.
    SimDisk(SimNetwork& network, ReplicaId owner, const DiskOptions& options, std::function<void()> progress);
    ~SimDisk() override;
    SimDisk(const SimDisk&) = delete;
    SimDisk& operator=(const SimDisk&) = delete;

    /// Recovers what is there. One storage at a time; it must not outlive the disk.
    std::unique_ptr<Storage> open();

    /// The program that used it is gone. `harsh`: what was being written may be torn such that it cannot be told
    /// from rot. True if that has happened.
    bool crash(bool harsh);

    // Faults.
    void set_slowness(std::uint64_t factor) { slowness_ = factor; }
    void fail_writes(bool fail) { fails_ = fail; } ///< full, or gone
    /// A write has failed, whether its replica has looked since or not: it is good for nothing until opened anew.
    bool failed() const { return failure_.has_value(); }
    void lose_next_write() { lose_next_ = true; } ///< reported as durable, yet not there
    bool rot(Random& random);                     ///< of something that is stored; false: there is nothing

  private:
    friend class SimStorage;
    enum class Kind : std::uint8_t { log, state, base, repaired };

    struct Record {
        Kind kind = Kind::log;
        bool sound = true;
        std::uint64_t position = 0;
        std::vector<std::byte> bytes{};
        HardState state{};
        SnapshotPoint base{};
    };

    void on_event(std::uint32_t what, std::uint64_t value) override;
    Ticket take(Record record);
    void write_next();

    SimNetwork& network_;
    DiskOptions options_;
    std::function<void()> progress_;
    HandlerId handler_;
    Random random_;
    std::vector<Record> records_; ///< durable, oldest first
    std::vector<Record> waiting_; ///< the first `writing_` of them are being written
    std::size_t writing_ = 0;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t turn_ = 0; ///< of the program; a write of an earlier one is over
    Ticket taken_ = 0;
    Ticket durable_ = 0;
    std::optional<Error> failure_;
    bool suspect_ = false; ///< since some recovery, until repaired
    std::uint64_t slowness_ = 1;
    bool fails_ = false;
    bool lose_next_ = false;
};

} // namespace rdma_paxos::sim
