// SPDX-License-Identifier: Apache-2.0
//
// Many simulated groups under faults, and proof that the checkers would notice: known mistakes must be found.
#include "sim/mistakes.h"
#include "sim/runner.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t usual_seeds = 500; // each takes many times as long
constexpr std::uint64_t longest_search = 500;
#else
constexpr std::uint64_t usual_seeds = 20000;
constexpr std::uint64_t longest_search = 10000;
#endif

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Simulation, PromisesHoldUnderFaults) {
    const sim::RunOptions run{.start = setting("RDMA_PAXOS_SIM_START", 1),
                              .seeds = setting("RDMA_PAXOS_SIM_SEEDS", usual_seeds),
                              .failures = 3};
    const sim::Report report = sim::run_seeds(run, {});
    for (const sim::Failure& failure : report.failures)
        ADD_FAILURE() << sim::explain(failure, {});
    std::printf("%s", to_string(report).c_str());
    // A simulation in which nothing happens proves nothing.
    const sim::Totals& totals = report.totals;
    const double n = double(totals.runs);
    EXPECT_GE(totals.runs, report.failures.empty() ? run.seeds : 1);
    EXPECT_GT(double(totals.all_faults()) / n, 8);
    EXPECT_GT(double(totals.leaders) / n, 2);
    EXPECT_GT(double(totals.committed) / n, 300);
    EXPECT_GT(double(totals.live) / n, 0.8);
    EXPECT_GT(totals.simulated / Nanoseconds(std::chrono::seconds(60)), std::int64_t(totals.runs) - 1);
    EXPECT_GT(totals.overloaded, 0u);
    for (std::size_t kind = 0; kind < sim::fault_kinds; ++kind)
        EXPECT_GT(totals.faults[kind], 0u) << to_string(static_cast<sim::FaultKind>(kind));
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
    for (const std::uint64_t seed : {4u, 5u, 6u}) {
        std::vector<std::string> stories[2];
        for (auto& story : stories) {
            sim::ScenarioOptions options;
            options.trace = [&story](const std::string& line) { story.push_back(line); };
            (void)sim::run_scenario(seed, options);
        }
        EXPECT_FALSE(stories[0].empty());
        EXPECT_EQ(stories[0], stories[1]);
    }
}

class PlantedMistakeTest : public testing::TestWithParam<sim::PlantedMistake> {
  protected:
    ~PlantedMistakeTest() override { sim::unplant_all(); }
};

TEST_P(PlantedMistakeTest, IsFoundAndExplained) {
    const sim::PlantedMistake& mistake = GetParam();
    if (mistake.found_within > longest_search)
        GTEST_SKIP() << "takes too long with a sanitizer";
    sim::ScenarioOptions options;
    mistake.plant(options);
    const sim::Report report = sim::run_seeds({.seeds = mistake.found_within, .failures = 1}, options);
    ASSERT_FALSE(report.failures.empty()) << mistake.what;
    std::printf("  %-16s found at seed %5llu: %s\n", mistake.name,
                static_cast<unsigned long long>(report.failures[0].seed), report.failures[0].what.c_str());

    // Its story: a part of the plan of which nothing can be left out, and with which only the mistake fails.
    const std::uint64_t seed = report.failures[0].seed;
    options.only = sim::minimise(seed, options);
    EXPECT_LT(options.only->size(), sim::draw_scenario(seed).faults.size());
    EXPECT_TRUE(sim::run_apart(seed, options)) << "what is left of the plan fails still";
    sim::unplant_all();
    sim::ScenarioOptions sound;
    sound.only = options.only;
    EXPECT_FALSE(sim::run_apart(seed, sound)) << "without the mistake it does not";
}

std::string name_of(const testing::TestParamInfo<sim::PlantedMistake>& mistake) {
    std::string name = mistake.param.name;
    for (char& letter : name)
        letter = letter == '-' ? '_' : letter;
    return name;
}

INSTANTIATE_TEST_SUITE_P(All, PlantedMistakeTest, testing::ValuesIn(sim::planted_mistakes()), name_of);

} // namespace
} // namespace rdma_paxos
