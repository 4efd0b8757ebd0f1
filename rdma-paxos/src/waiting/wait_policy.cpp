// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/waiting.h"

#include <algorithm>

namespace rdma_paxos {

Nanoseconds WaitPolicy::budget(Nanoseconds now, unsigned processors, unsigned spinners) {
    if (options_.mode == WaitMode::sleep)
        return 0ns;
    if (options_.mode == WaitMode::spin)
        return Nanoseconds::max();
    // On the only processor, spinning keeps away whoever is to bring the completion.
    if (processors < 2 || spinners > processors - 1 || now < blocked_until_)
        return 0ns;
    if (++waits_ % waits_per_trial == 1)
        return options_.spin_max;
    return cheapest();
}

void WaitPolicy::ended(Nanoseconds spun, bool found) {
    std::size_t bucket = bucket_count - 1;
    if (found)
        for (bucket = 0; bucket < bucket_count - 2 && spun >= edge(bucket);)
            ++bucket;
    ++history_[bucket];
    if (++recorded_ < history_max)
        return;
    recorded_ = 0;
    for (std::uint32_t& count : history_) {
        count /= 2;
        recorded_ += count;
    }
}

// The expected cost of a budget: waits that end within it cost what they take, all others the budget and a sleep.
Nanoseconds WaitPolicy::cheapest() const {
    std::uint64_t longer = recorded_, spent_within = 0;
    Nanoseconds best = 0ns;
    auto best_cost = longer * static_cast<std::uint64_t>(options_.sleep_cost.count());
    for (std::size_t bucket = 0; bucket < bucket_count - 1 && edge(bucket) <= options_.spin_max; ++bucket) {
        const auto upper = static_cast<std::uint64_t>(edge(bucket).count());
        longer -= history_[bucket];
        spent_within += history_[bucket] * upper;
        const auto cost = spent_within + longer * (upper + static_cast<std::uint64_t>(options_.sleep_cost.count()));
        if (cost < best_cost) {
            best_cost = cost;
            best = edge(bucket);
        }
    }
    return best;
}

void WaitPolicy::preempted(Nanoseconds now) {
    const bool soon = penalty_ > 0ns && now < blocked_until_ + 4 * penalty_;
    penalty_ = soon ? std::min(2 * penalty_, penalty_max) : penalty_min;
    blocked_until_ = now + penalty_;
}

} // namespace rdma_paxos
