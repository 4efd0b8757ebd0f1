// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../bench/station.h"

namespace rdma_paxos::bench {

/// What the new leader saw after the old one had vanished under load. Detection is not in it: time starts with the
/// tick in which it began its candidacy, after a majority had agreed that the leader is missed.
struct Failover {
    double to_leadership_us = 0;    ///< fence, votes, catching up
    double to_first_commit_us = 0;  ///< of its own first entry, with all that was there before; from the same start
    double to_client_commit_us = 0; ///< of the first new proposal
};

/// As the first leader: appends entries and vanishes.
void lead_and_vanish(Station& station);

/// As a follower: lives through the failover. None: this member did not become the leader.
std::optional<Failover> live_through_failover(Station& station);

} // namespace rdma_paxos::bench
