// SPDX-License-Identifier: Apache-2.0
//
// A whole group in one process, driven by one seed: replicas on the simulated fabric, clients, faults, and checkers
// that watch from outside after every step.
#pragma once

#include "checking/trace_recorder.h"
#include "sim/scenario.h"

#include <functional>
#include <optional>
#include <string>

namespace rdma_paxos::sim {

struct ScenarioOptions {
    /// Numbers of the faults of the plan that are to happen; none: all.
    std::optional<std::vector<std::size_t>> only;
    checking::TraceRecorder* recorder = nullptr;          ///< told what the replicas do, for the model
    std::function<void(const std::string& line)> trace{}; ///< told what happens; empty: nobody

    // Planted mistakes of the fabric. See consensus/planted_bugs.h for those of the protocol.
    bool reset_only_revokes = false; ///< packets on their way still land for a while after reset()
    bool ack_when_sent = false;      ///< a completion says that a WRITE was sent, not that it has landed
};

/// What runs were like, summed. Plain numbers: processes hand it to each other in shared memory.
struct Totals {
    std::uint64_t runs = 0;
    std::uint64_t members = 0;
    std::array<std::uint64_t, fault_kinds> faults{};
    std::uint64_t proposals = 0;
    std::uint64_t answers = 0;
    std::uint64_t committed = 0;
    std::uint64_t leaders = 0; ///< leaderships
    std::uint64_t restarts = 0;
    std::uint64_t durable = 0;    ///< groups with disks
    std::uint64_t overloaded = 0; ///< groups on overloaded hosts
    std::uint64_t changes = 0;    ///< of membership, done
    std::uint64_t installs = 0;   ///< states shipped to replicas that fell behind
    std::uint64_t ticks = 0;
    std::uint64_t live = 0; ///< runs in which progress could be demanded after all was healed
    Nanoseconds simulated{};
    Nanoseconds recovery{}; ///< from healing to progress
    Nanoseconds longest_recovery{};

    std::uint64_t all_faults() const;
    void add(const Totals& other);
};

struct Outcome {
    std::optional<std::string> violation; ///< what was broken, and when
    Totals totals;                        ///< of this run
};

Outcome run_scenario(std::uint64_t seed, const ScenarioOptions& options = {});

} // namespace rdma_paxos::sim
