// SPDX-License-Identifier: Apache-2.0
//
// How the two ends of a link agree to connect it, by repeating their LinkOffer to each other.
//
// Of the two ends one drives, the other follows. Each reset gives an end a new generation. The follower connects to
// whatever generation the driver offers and says so; the driver connects when the follower has connected to its
// present generation; whenever the driver finds that the follower has moved on, it resets and so begins again.
// Lost, late or repeated offers do no harm.
#pragma once

#include "rdma_paxos/rendezvous.h"

namespace rdma_paxos {

class Handshake {
  public:
    Handshake(Fabric& fabric, ReplicaId peer, Link link) : fabric_(&fabric), peer_(peer), link_(link) {}

    /// Resets the link. False: the fabric could not yet; the link is unusable, and cut() must be called again.
    bool cut();

    /// Resets the link unless it has not been connected since its last reset.
    bool ensure_cut() { return clean_ || cut(); }

    /// One end's step, given the other's newest offer. True if this end's offer changed.
    bool drive(const LinkOffer& theirs);
    bool follow(const LinkOffer& theirs);

    /// True if this end is connected.
    bool up() const { return connected_to_ != 0; }

    /// True if both ends are, as far as this one knows. A work that is posted before fails once the fabric is tired
    /// of trying; it may be so before the other end, on an overloaded host, has done its part.
    bool both_up() const { return up() && other_is_up_; }

    /// Something came through this link since its last reset.
    void heard() { other_is_up_ = up(); }

    LinkOffer offer() const;

  private:
    bool connect(const LinkOffer& theirs);

    Fabric* fabric_;
    ReplicaId peer_;
    Link link_;
    std::uint32_t generation_ = 0;
    std::uint32_t connected_to_ = 0;
    bool clean_ = false;       ///< reset, and not connected since
    bool other_is_up_ = false; ///< seen since the last reset
};

} // namespace rdma_paxos
