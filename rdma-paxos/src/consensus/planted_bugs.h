// SPDX-License-Identifier: Apache-2.0
//
// Mistakes that a test may switch on, to show that the simulator finds them. All off outside such tests.
#pragma once

namespace rdma_paxos {

struct PlantedBugs {
    bool skip_fence = false;              ///< a vote is given without cutting off who may write the log
    bool commit_without_majority = false; ///< one completion commits, whatever the size of the group
    bool commit_old_term = false;         ///< an entry of an earlier term is committed by counting its copies
    bool ignore_late_heartbeat = false;   ///< a vote is given although a heartbeat landed during the fence
    bool forget_lease = false; ///< a replica that was started anew votes before the lease is over that it granted
    bool wait_for_all = false; ///< a commit waits for every follower, dead ones too
    bool ack_before_write = false; ///< a follower acknowledges what its disk has not reported as durable
    bool drop_rotten = false;      ///< recovery takes rot for a torn tail: what follows was never acknowledged
    bool stale_members = false;    ///< who lost a membership to rot counts its members by the one before
    bool endless_excuses = false;  ///< each late tick puts off the election, not only the first of a silence
    bool impatient = false;        ///< each attempt at an election gets as little time as the first
    bool half_links = false;       ///< a replica writes to a peer before that has connected its end
    bool trust_canary = false;     ///< an entry is whole when its last byte is there, whatever its checksum
};

inline PlantedBugs planted_bugs;

} // namespace rdma_paxos
