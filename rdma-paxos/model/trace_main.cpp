// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-trace: runs of the simulator as traces for the model, FOLDER/<seed>.trace.
#include "consensus/planted_bugs.h"
#include "sim/sim_cluster.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fstream>

int main(int argc, char** argv) try {
    using namespace rdma_paxos;
    std::string folder;
    std::uint64_t seeds = 1;
    std::uint64_t start = 1;
    bool disks_only = false;
    sim::ScenarioOptions options;
    CLI::App app{"Writes down what the replicas do in simulated runs, to be held against the model."};
    app.add_option("FOLDER", folder, "where to write")->required();
    app.add_option("SEEDS", seeds, "how many runs");
    app.add_option("START", start, "the first seed");
    app.add_flag("--disks", disks_only, "only groups with disks");
    app.add_flag("--bug-skip-fence", planted_bugs.skip_fence, "vote without fencing");
    app.add_flag("--bug-no-majority", planted_bugs.commit_without_majority, "commit with a single copy");
    app.add_flag("--bug-old-term", planted_bugs.commit_old_term, "commit an old term's entry by counting copies");
    app.add_flag("--bug-ack-before-write", planted_bugs.ack_before_write, "tell others what is not on disk yet");
    app.add_flag("--bug-drop-rotten", planted_bugs.drop_rotten, "take rot for a torn tail");
    CLI11_PARSE(app, argc, argv);

    for (std::uint64_t seed = start, told = 0; told < seeds; ++seed) {
        const sim::Scenario scenario = sim::draw_scenario(seed);
        if (disks_only && !scenario.durable)
            continue;
        checking::TraceRecorder recorder(scenario.config.members);
        options.recorder = &recorder;
        (void)sim::run_scenario(seed, options);
        if (!recorder.unfit().empty()) {
            fmt::print("seed {}: not told: {}\n", seed, recorder.unfit());
            continue;
        }
        std::ofstream out(fmt::format("{}/{}.trace", folder, seed));
        out << recorder.text();
        ++told;
        if (!out.flush()) {
            fmt::print(stderr, "rdma-paxos-trace: cannot write into {}\n", folder);
            return 1;
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-trace: %s\n", error.what());
    return 1;
}
