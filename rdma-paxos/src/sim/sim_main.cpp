// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-sim: many scenarios of the simulator, one seed each.
#include "consensus/planted_bugs.h"
#include "sim/sim_cluster.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fmt/format.h>

int main(int argc, char** argv) try {
    using namespace rdma_paxos;
    std::uint64_t seeds = 1000;
    std::uint64_t start = 1;
    bool keep_going = false;
    sim::ScenarioOptions options;
    std::vector<std::size_t> only;
    CLI::App app{"Runs the consensus protocol in a simulated, faulty world and checks it from outside."};
    app.add_option("SEEDS", seeds, "how many scenarios");
    app.add_option("START", start, "the first seed");
    auto* mask = app.add_option("--only", only, "of the plan only these faults")->delimiter(',');
    app.add_flag("--keep-going", keep_going, "do not stop at the first failure");
    app.add_flag("--trace", options.trace, "print role changes and faults");
    app.add_flag("--bug-skip-fence", planted_bugs.skip_fence, "vote without fencing");
    app.add_flag("--bug-no-majority", planted_bugs.commit_without_majority, "commit with a single copy");
    app.add_flag("--bug-old-term", planted_bugs.commit_old_term, "commit an old term's entry by counting copies");
    app.add_flag("--bug-late-heartbeat", planted_bugs.ignore_late_heartbeat,
                 "vote despite a heartbeat during the fence");
    app.add_flag("--bug-flags-only", options.reset_only_revokes, "resets let packets through for a while");
    app.add_flag("--bug-ack-when-sent", options.ack_when_sent, "completions do not wait for the bytes to land");
    CLI11_PARSE(app, argc, argv);
    if (*mask)
        options.only = only;

    const auto begun = std::chrono::steady_clock::now();
    std::uint64_t failures = 0;
    sim::Outcome sum;
    for (std::uint64_t seed = start; seed < start + seeds; ++seed) {
        const sim::Outcome outcome = sim::run_scenario(seed, options);
        sum.add(outcome);
        if (outcome.violation) {
            ++failures;
            fmt::print("seed {} ({} members): {}\n", seed, outcome.members, *outcome.violation);
            if (!keep_going)
                break;
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const double n = double(sum.runs);
    for (std::size_t kind = 0; kind < sim::fault_kinds; ++kind)
        fmt::print("  {:24} {:.2f}\n", sim::to_string(static_cast<sim::FaultKind>(kind)), double(sum.faults[kind]) / n);
    fmt::print("{} seeds, {} failed; mean per seed: {:.1f} faults, {:.1f} leaders, {:.0f} proposals, {:.0f} "
               "committed, {:.0f} answers, {:.1f} s simulated, {:.0f} ticks; liveness checked in {:.1f} %, recovery {:.2f} s, at most "
               "{:.1f} s; {:.0f} seeds/s\n",
               sum.runs, failures, double(sum.all_faults()) / n, double(sum.leaders) / n, double(sum.proposals) / n,
               double(sum.committed) / n, double(sum.answers) / n,
               std::chrono::duration<double>(sum.simulated).count() / n, double(sum.ticks) / n,
               100 * double(sum.live) / n, std::chrono::duration<double>(sum.recovery).count() / n,
               std::chrono::duration<double>(sum.longest_recovery).count(), n / seconds);
    return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-sim: %s\n", error.what());
    return 1;
}
