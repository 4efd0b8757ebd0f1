// SPDX-License-Identifier: Apache-2.0
//
// Many seeds in several processes. A process that dies (a broken invariant aborts) has failed with the seed that it
// was at; another takes its place.
#pragma once

#include "sim/sim_cluster.h"

namespace rdma_paxos::sim {

struct Failure {
    std::uint64_t seed = 0;
    std::string what;
};

struct Report {
    Totals totals;
    std::vector<Failure> failures; ///< in order of seeds
    double seconds = 0;
};

struct RunOptions {
    std::uint64_t start = 1;
    std::uint64_t seeds = 1;
    unsigned workers = 0;      ///< processes; 0: one for each processor
    std::size_t failures = 10; ///< how many to collect before giving up
};

/// Which seeds fail does not depend on the number of workers; with `failures` of 1, nor does which is reported.
Report run_seeds(const RunOptions& run, const ScenarioOptions& options);

/// One seed in a process of its own: what was broken, if anything.
std::optional<std::string> run_apart(std::uint64_t seed, const ScenarioOptions& options);

/// The faults of a failing seed's plan without which it does not fail: none of them can be left out.
std::vector<std::size_t> minimise(std::uint64_t seed, const ScenarioOptions& options);

/// How to see it again, for people: the command, the plan that is left, and the end of its story.
/// `flags`: further arguments of rdma-paxos-sim that the options stand for.
std::string explain(const Failure& failure, const ScenarioOptions& options, const std::string& flags = {});

/// For people: means per seed, and how fast it went.
std::string to_string(const Report& report);

} // namespace rdma_paxos::sim
