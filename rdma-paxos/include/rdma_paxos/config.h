// SPDX-License-Identifier: Apache-2.0
//
// What a replica must be told at its birth.
#pragma once

#include "rdma_paxos/fabric.h"

#include <vector>

namespace rdma_paxos {

using namespace std::chrono_literals;

/// All clocks of a group may run at different rates, by at most `clock_drift_ppm` from the true rate.
/// The defaults suit real hardware with a polling thread; emulated hosts want lab_timing().
struct Timing {
    Nanoseconds heartbeat = 1ms;             ///< how often a leader's heartbeat and everybody's row are written
    Nanoseconds election_timeout_min = 10ms; ///< silence after which a leader may be doubted
    Nanoseconds election_timeout_max = 20ms; ///< each doubt starts at a random moment between the two
    Nanoseconds lease = 8ms;                 ///< must be below election_timeout_min, by more than the drift
    Nanoseconds follower_poll = 50us;        ///< how often a sleeping replica looks at its memory
    Nanoseconds link_retry = 50ms;           ///< how long to wait for a peer's part in connecting a link
    /// How long a live follower that applies too slowly may hold back the recycling of the log, before it loses its
    /// place and needs a snapshot. 0: not at all.
    Nanoseconds slow_follower_grace = 0ms;
    std::uint32_t clock_drift_ppm = 1000;
};

/// For hosts emulated in software, which may not run for tens of milliseconds.
inline Timing lab_timing() {
    return {.heartbeat = 20ms,
            .election_timeout_min = 300ms,
            .election_timeout_max = 500ms,
            .lease = 250ms,
            .follower_poll = 1ms,
            .link_retry = 200ms,
            .slow_follower_grace = 0ms,
            .clock_drift_ppm = 1000};
}

struct Config {
    GroupId group{};
    ReplicaId self;
    std::vector<ReplicaId> members;      ///< self included; 1, 3, 5 or 7; same at every founding member
    ReplicaId initial_leader = nobody;   ///< at the group's birth this one stands at once, and the others leave it
                                         ///< the field for 20 election time-outs, so that it may be started last
    std::vector<ReplicaId> witnesses;    ///< those of `members` that never lead and have no state machine;
                                         ///< whoever is not founding names itself here if it is one
    ReplicaId preferred_leader = nobody; ///< stands first when a leader is missed, and wins among equals
    /// False: a replica without memory of the group (new, or it lost what it had). `members` are then those who may
    /// know it and itself, of any number. It neither stands nor counts before the log says that it is a member.
    bool founding = true;
    std::size_t ring_bytes = 32u << 20;       ///< power of two, the same everywhere; bounds how far one may lag
    std::size_t max_entry_bytes = 1u << 20;   ///< largest body that is proposed here; below a quarter of the ring
    std::size_t max_write_bytes = 256u << 10; ///< one WRITE carries at most this much
    std::uint32_t max_in_flight = 4;          ///< WRITEs outstanding per follower; what comes meanwhile is batched
    std::uint64_t seed = 1; ///< of the time-outs' randomness and the incarnation; vary it per start
    Timing timing;
};

/// The memory that a fabric must provide for such a replica.
MemoryLayout memory_layout(std::size_t ring_bytes);

} // namespace rdma_paxos
