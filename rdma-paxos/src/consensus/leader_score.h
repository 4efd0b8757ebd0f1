// SPDX-License-Identifier: Apache-2.0
//
// How much silence a follower takes from its leader before it doubts it. A leader that has been steady is given
// more than one whose heartbeats come late, within the two bounds of Timing; so one late beat costs a steady leader
// nothing, and an erratic one is left sooner. (Mu keeps such a score per peer; OSDI'20, section 5.1.)
#pragma once

#include "rdma_paxos/config.h"

#include <algorithm>

namespace rdma_paxos {

class LeaderScore {
  public:
    static constexpr std::uint32_t highest = 8;

    /// A heartbeat was heard, `silence` after the one before it.
    void heard(Nanoseconds silence, const Timing& timing) {
        if (silence <= 2 * timing.heartbeat)
            score_ = std::min(score_ + 1, highest);
        else
            score_ /= 2;
    }
    /// Another leader: nothing is known of it.
    void forget() { score_ = 0; }

    std::uint32_t value() const { return score_; }

    /// Between election_timeout_min and _max: half of the span by chance (`draw`, any number), which keeps rivals
    /// apart, half by the score. A preferred replica doubts first: it takes the early quarter of the span by
    /// chance.
    Nanoseconds patience(const Timing& timing, std::uint64_t draw, bool preferred) const {
        const auto span =
            static_cast<std::uint64_t>((timing.election_timeout_max - timing.election_timeout_min).count());
        const std::uint64_t by_chance = draw % (span / 2 + 1);
        const std::uint64_t by_score = span / 2 * score_ / highest;
        const std::uint64_t waits = preferred ? by_chance / 2 : by_chance + by_score;
        return timing.election_timeout_min + Nanoseconds(static_cast<std::int64_t>(waits));
    }

  private:
    std::uint32_t score_ = 0;
};

} // namespace rdma_paxos
