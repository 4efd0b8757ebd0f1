// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

#include <algorithm>
#include <vector>

namespace drill {

namespace {

Gap find_longest_gap(const std::vector<Nanoseconds>& answers, Nanoseconds start, Nanoseconds end) {
    Gap longest{start, start, false};
    Nanoseconds previous = start;
    for (const Nanoseconds answer : answers) {
        if (answer - previous > longest.end - longest.start)
            longest = {previous, answer, true};
        previous = answer;
    }
    if (end - previous > longest.end - longest.start)
        longest = {previous, end, false};
    return longest;
}

// Nearest rank.
Nanoseconds percentile(const std::vector<Nanoseconds>& sorted, double share) {
    if (sorted.empty())
        return 0;
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(rank, sorted.size() - 1)];
}

Latencies latencies(std::vector<Nanoseconds> values) {
    std::sort(values.begin(), values.end());
    return {percentile(values, 0.5), percentile(values, 0.99), percentile(values, 0.999),
            static_cast<std::int64_t>(values.size())};
}

double rate(std::size_t count, Nanoseconds duration) {
    return duration > 0 ? static_cast<double>(count) * 1e9 / static_cast<double>(duration) : 0;
}

} // namespace

Statistics summarize(std::span<const Ledger> ledgers, Nanoseconds start, Nanoseconds end) {
    Statistics result;
    std::vector<Nanoseconds> answers;
    for (const auto& ledger : ledgers) {
        for (const auto& write : ledger.writes) {
            switch (write.outcome) {
            case Outcome::acknowledged:
                result.acknowledged++;
                answers.push_back(write.answered);
                break;
            case Outcome::unknown:
                result.unknown++;
                break;
            case Outcome::refused:
                result.refused++;
                break;
            }
        }
    }
    std::sort(answers.begin(), answers.end());
    const Gap gap = find_longest_gap(answers, start, end);
    result.longest_gap = gap;

    // A write that was under way when the gap began is neither before nor after it.
    std::vector<Nanoseconds> before, after;
    for (const auto& ledger : ledgers) {
        for (const auto& write : ledger.writes) {
            if (write.outcome != Outcome::acknowledged)
                continue;
            if (write.answered <= gap.start)
                before.push_back(write.latency);
            else if (write.sent >= gap.end)
                after.push_back(write.latency);
        }
    }
    result.per_second_before_gap = rate(before.size(), gap.start - start);
    result.per_second_after_gap = gap.ended ? rate(after.size(), end - gap.end) : 0;
    result.before_gap = latencies(std::move(before));
    result.after_gap = latencies(std::move(after));
    return result;
}

} // namespace drill
