// SPDX-License-Identifier: Apache-2.0
//
// Mistakes that can be planted, in the protocol or in the fabric, to show that the simulator finds them.
#pragma once

#include "sim/sim_cluster.h"

namespace rdma_paxos::sim {

struct PlantedMistake {
    const char* name; ///< of the flag --bug-NAME
    const char* what;
    void (*plant)(ScenarioOptions& options); ///< for this process, until unplant_all()
    std::uint64_t found_within;              ///< seeds: what the test demands
};

std::span<const PlantedMistake> planted_mistakes();

/// Of the protocol. (Those of the fabric are in the options.)
void unplant_all();

} // namespace rdma_paxos::sim
