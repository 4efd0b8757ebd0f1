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
    std::uint64_t duration_ms = 2000;
    bool keep_going = false;
    sim::ScenarioOptions options;
    CLI::App app{"Runs the consensus protocol in a simulated, faulty world and checks it from outside."};
    app.add_option("SEEDS", seeds, "how many scenarios");
    app.add_option("START", start, "the first seed");
    app.add_option("--duration-ms", duration_ms, "simulated time with faults, per scenario");
    app.add_flag("--keep-going", keep_going, "do not stop at the first failure");
    app.add_flag("--trace", options.trace, "print role changes and faults");
    app.add_flag("--bug-skip-fence", planted_bugs.skip_fence, "vote without fencing");
    app.add_flag("--bug-no-majority", planted_bugs.commit_without_majority, "commit with a single copy");
    app.add_flag("--bug-old-term", planted_bugs.commit_old_term, "commit an old term's entry by counting copies");
    app.add_flag("--bug-late-heartbeat", planted_bugs.ignore_late_heartbeat,
                 "vote despite a heartbeat during the fence");
    app.add_flag("--bug-flags-only", options.reset_only_revokes, "resets let packets through for a while");
    CLI11_PARSE(app, argc, argv);
    options.duration = std::chrono::milliseconds(duration_ms);

    const auto begun = std::chrono::steady_clock::now();
    std::uint64_t failures = 0, faults = 0, proposals = 0, committed = 0, leaders = 0, live = 0;
    Nanoseconds simulated{};
    std::uint64_t ran = 0;
    for (std::uint64_t seed = start; seed < start + seeds; ++seed) {
        const sim::Outcome outcome = sim::run_scenario(seed, options);
        ++ran;
        faults += outcome.faults;
        proposals += outcome.proposals;
        committed += outcome.committed;
        leaders += outcome.late_leaders;
        live += outcome.liveness_checked;
        simulated += outcome.simulated;
        if (outcome.violation) {
            ++failures;
            fmt::print("seed {} ({} members): {}\n  again: rdma-paxos-sim 1 {} --duration-ms {}\n", seed,
                       outcome.members, *outcome.violation, seed, duration_ms);
            if (!keep_going)
                break;
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const double n = double(ran);
    fmt::print(
        "{} seeds, {} failed; mean per seed: {:.1f} faults, {:.1f} changes of leader, {:.0f} proposals, {:.0f} "
        "committed, {:.1f} s simulated; liveness checked in {:.0f} %; {:.0f} seeds/s\n",
        ran, failures, double(faults) / n, double(leaders) / n, double(proposals) / n, double(committed) / n,
        std::chrono::duration<double>(simulated).count() / n, 100 * double(live) / n, n / seconds);
    return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-sim: %s\n", error.what());
    return 1;
}
