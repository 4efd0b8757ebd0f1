// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-sim: many scenarios of the simulator, one seed each.
#include "sim/mistakes.h"
#include "sim/runner.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>

namespace {

using namespace rdma_paxos;

/// "3,7,9" or "none"; throws CLI::ValidationError.
std::vector<std::size_t> parse_numbers(const std::string& text) {
    std::vector<std::size_t> numbers;
    if (text == "none")
        return numbers;
    for (const std::string& part : CLI::detail::split(text, ',')) {
        std::size_t number = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
        if (error != std::errc() || end != part.data() + part.size())
            throw CLI::ValidationError("--only", "not a list of numbers: " + text);
        numbers.push_back(number);
    }
    return numbers;
}

} // namespace

int main(int argc, char** argv) try {
    sim::RunOptions run{.start = 1, .seeds = 1000};
    sim::ScenarioOptions options;
    std::string only;
    bool trace = false;
    bool plain = false;
    CLI::App app{"Runs the consensus protocol in a simulated, faulty world and checks it from outside."};
    app.add_option("SEEDS", run.seeds, "how many scenarios")->check(CLI::PositiveNumber);
    app.add_option("START", run.start, "the first seed")->check(CLI::PositiveNumber);
    app.add_option("--only", only, "of the plan only the faults of these numbers (or none)");
    app.add_option("--failures", run.failures, "stop after so many");
    app.add_option("--workers", run.workers, "processes; one for each processor if not given");
    app.add_flag("--trace", trace, "tell the story of one seed");
    app.add_flag("--no-minimise", plain, "print failures as they are");
    const auto bugs = sim::planted_mistakes();
    std::string flags;
    for (const sim::PlantedMistake& bug : bugs)
        app.add_flag_callback(
            std::string("--bug-") + bug.name,
            [&options, &flags, &bug] {
                bug.plant(options);
                flags += std::string(flags.empty() ? "--bug-" : " --bug-") + bug.name;
            },
            bug.what);
    CLI11_PARSE(app, argc, argv);
    if (!only.empty())
        options.only = parse_numbers(only);

    if (trace) {
        options.trace = [](const std::string& line) {
            fmt::print("{}\n", line);
            std::fflush(stdout);
        };
        const auto plan = sim::draw_scenario(run.start).faults;
        for (std::size_t number = 0; number < plan.size(); ++number)
            fmt::print("plan {}: {}\n", number, to_string(plan[number]));
        const sim::Outcome outcome = sim::run_scenario(run.start, options);
        fmt::print("{}\n", outcome.violation ? *outcome.violation : "no violation");
        return outcome.violation ? 1 : 0;
    }
    const sim::Report report = sim::run_seeds(run, options);
    for (const sim::Failure& failure : report.failures)
        fmt::print("{}\n", plain ? fmt::format("seed {}: {}", failure.seed, failure.what)
                                 : explain(failure, options, flags));
    fmt::print("{}", to_string(report));
    return report.failures.empty() ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-sim: %s\n", error.what());
    return 1;
}
