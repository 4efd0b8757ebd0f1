// SPDX-License-Identifier: Apache-2.0
//
// How two replicas that share no memory yet hand each other the endpoints of their board link.
//
// What is exchanged is state, not a conversation: the newest message of a peer replaces all older ones, any of them
// may be lost, and the sender repeats it. Only board links need this; the log link's endpoints travel in the board.
#pragma once

#include "rdma_paxos/fabric.h"

#include <functional>

namespace rdma_paxos {

/// Where one end of a link stands in connecting it. See handshake.h for the rules.
struct LinkOffer {
    std::uint32_t generation = 0;   ///< counts the sender's resets of this link; 0: never reset
    std::uint32_t connected_to = 0; ///< generation of the peer's offer that the sender connected to; 0: none
    Endpoint endpoint;              ///< the sender's end in this generation
};

struct RendezvousMessage {
    std::uint64_t incarnation = 0; ///< random at a replica's birth: the same id with empty memory is somebody else
    std::uint64_t ring_bytes = 0;  ///< Config::ring_bytes of the sender, a multiple of 4096
    LinkOffer board;
};

/// One replica's view of its group's meeting place. Used by the replica's thread.
class Rendezvous {
  public:
    virtual ~Rendezvous() = default;

    /// Best effort, never blocks. Supersedes an earlier message to the same peer that was not delivered yet.
    virtual void send(ReplicaId peer, const RendezvousMessage& message) = 0;

    /// Delivers what has arrived since the last call, at most the newest message of each peer. Never blocks.
    virtual void receive(Nanoseconds now,
                         const std::function<void(ReplicaId from, const RendezvousMessage&)>& deliver) = 0;
};

} // namespace rdma_paxos
