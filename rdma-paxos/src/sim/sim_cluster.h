// SPDX-License-Identifier: Apache-2.0
//
// A whole group in one process, driven by one seed: replicas on the simulated fabric, a client, faults, and
// checkers that watch from outside after every step.
#pragma once

#include "rdma_paxos/replica.h"
#include "sim/sim_network.h"

#include <optional>
#include <string>

namespace rdma_paxos::sim {

struct ScenarioOptions {
    Nanoseconds duration = 2s;    ///< of the phase with faults
    Nanoseconds recovery = 2s;    ///< within which a healed majority must commit again
    Nanoseconds fault_gap = 60ms; ///< mean time between faults
    bool reset_only_revokes = false;
    bool trace = false; ///< print role changes and faults to stdout
};

struct Outcome {
    std::optional<std::string> violation; ///< what was broken, and when
    std::size_t members = 0;
    std::size_t faults = 0;
    std::size_t proposals = 0;
    std::size_t committed = 0;
    std::size_t elections_won = 0;
    std::size_t late_leaders = 0; ///< leaderships that came after the first
    bool liveness_checked = false;
    Nanoseconds simulated{};
};

Outcome run_scenario(std::uint64_t seed, const ScenarioOptions& options = {});

} // namespace rdma_paxos::sim
