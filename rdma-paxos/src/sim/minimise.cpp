// SPDX-License-Identifier: Apache-2.0
//
// From a seed that fails to a story that one can read.
#include "sim/runner.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <numeric>

namespace rdma_paxos::sim {

namespace {

// A run that gets stuck is another failure than one that breaks a promise; which promise is a matter of luck.
bool is_about_progress(const std::string& what) {
    return what.find("no progress") != std::string::npos;
}

constexpr std::size_t story_lines = 60;

} // namespace

std::vector<std::size_t> minimise(std::uint64_t seed, const ScenarioOptions& options) {
    std::vector<std::size_t> left;
    if (options.only)
        left = *options.only;
    else {
        left.resize(draw_scenario(seed).faults.size());
        std::iota(left.begin(), left.end(), 0u);
    }
    ScenarioOptions trial = options;
    trial.trace = nullptr;
    const auto present = run_apart(seed, trial);
    if (!present)
        return left;
    const auto fails_with = [&](const std::vector<std::size_t>& faults) {
        trial.only = faults;
        const auto what = run_apart(seed, trial);
        return what && is_about_progress(*what) == is_about_progress(*present);
    };
    // Ever smaller pieces are left out, as long as what remains still fails.
    for (std::size_t piece = std::max<std::size_t>(1, left.size() / 2);;) {
        bool shrunk = false;
        for (std::size_t at = 0; at < left.size();) {
            std::vector<std::size_t> fewer = left;
            const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(at);
            fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(piece, left.size() - at)));
            if (fails_with(fewer)) {
                left = std::move(fewer);
                shrunk = true;
            } else
                at += piece;
        }
        if (piece == 1 && !shrunk)
            return left;
        piece = std::max<std::size_t>(1, piece / 2);
    }
}

std::string explain(const Failure& failure, const ScenarioOptions& options, const std::string& flags) {
    ScenarioOptions least = options;
    least.only = minimise(failure.seed, options);
    const Scenario scenario = draw_scenario(failure.seed);
    std::string text = fmt::format("seed {}: {}\n  again: build/bin/rdma-paxos-sim 1 {} --only {} --trace{}{}\n",
                                   failure.seed, failure.what, failure.seed,
                                   least.only->empty() ? "none" : fmt::format("{}", fmt::join(*least.only, ",")),
                                   flags.empty() ? "" : " ", flags);
    for (const std::size_t number : *least.only)
        text += fmt::format("  fault {}: {}\n", number, to_string(scenario.faults[number]));

    std::vector<std::string> story;
    least.trace = [&story](const std::string& line) { story.push_back(line); };
    // A run that dies takes its story with it: then the command above tells it.
    if (const auto what = run_apart(failure.seed, least); !what || what->starts_with("the program"))
        return text;
    const Outcome outcome = run_scenario(failure.seed, least);
    const std::size_t skipped = story.size() - std::min(story.size(), story_lines);
    if (skipped > 0)
        text += fmt::format("  ... ({} lines)\n", skipped);
    for (std::size_t line = skipped; line < story.size(); ++line)
        text += "  " + story[line] + "\n";
    if (outcome.violation)
        text += "  " + *outcome.violation + "\n";
    return text;
}

} // namespace rdma_paxos::sim
