// SPDX-License-Identifier: Apache-2.0
//
// Many simulated groups under faults, and proof that the checkers would notice: known mistakes must be found.
#include "consensus/planted_bugs.h"
#include "sim/sim_cluster.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Simulation, PromisesHoldUnderFaults) {
    const std::uint64_t seeds = setting("RDMA_PAXOS_SIM_SEEDS", 2000);
    const std::uint64_t start = setting("RDMA_PAXOS_SIM_START", 1);
    sim::ScenarioOptions options;
    options.duration = Nanoseconds(std::chrono::milliseconds(500));
    double faults = 0, leaders = 0, committed = 0, live = 0;
    for (std::uint64_t seed = start; seed < start + seeds; ++seed) {
        const sim::Outcome outcome = sim::run_scenario(seed, options);
        ASSERT_FALSE(outcome.violation) << "seed " << seed << ": " << *outcome.violation
                                        << "\n  again: build/bin/rdma-paxos-sim 1 " << seed << " --duration-ms 500";
        faults += double(outcome.faults);
        leaders += double(outcome.late_leaders);
        committed += double(outcome.committed);
        live += outcome.liveness_checked;
    }
    // A simulation in which nothing happens proves nothing.
    const double n = double(seeds);
    EXPECT_GT(faults / n, 5);
    EXPECT_GT(leaders / n, 0.3);
    EXPECT_GT(committed / n, 100);
    EXPECT_GT(live / n, 0.6);
    RecordProperty("mean_faults", std::to_string(faults / n));
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
    const sim::Outcome first = sim::run_scenario(4);
    const sim::Outcome second = sim::run_scenario(4);
    EXPECT_EQ(first.proposals, second.proposals);
    EXPECT_EQ(first.committed, second.committed);
    EXPECT_EQ(first.simulated, second.simulated);
    EXPECT_EQ(first.elections_won, second.elections_won);
}

class PlantedBugTest : public testing::Test {
  protected:
    ~PlantedBugTest() override { planted_bugs = {}; }

    /// The number of seeds that it took, or 0.
    static std::uint64_t seeds_until_found(std::uint64_t limit, const sim::ScenarioOptions& options = {}) {
        for (std::uint64_t seed = 1; seed <= limit; ++seed)
            if (const auto outcome = sim::run_scenario(seed, options); outcome.violation) {
                std::printf("found after %llu seeds: %s\n", static_cast<unsigned long long>(seed),
                            outcome.violation->c_str());
                return seed;
            }
        return 0;
    }
};

TEST_F(PlantedBugTest, AVoteWithoutAFenceIsFound) {
    planted_bugs.skip_fence = true;
    EXPECT_NE(seeds_until_found(200), 0u);
}

TEST_F(PlantedBugTest, ACommitWithoutAMajorityIsFound) {
    planted_bugs.commit_without_majority = true;
    EXPECT_NE(seeds_until_found(50), 0u);
}

} // namespace
} // namespace rdma_paxos
