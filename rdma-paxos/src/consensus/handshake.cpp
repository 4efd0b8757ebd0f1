// SPDX-License-Identifier: Apache-2.0
#include "consensus/handshake.h"

namespace rdma_paxos {

bool Handshake::cut() {
    connected_to_ = 0;
    other_is_up_ = false;
    clean_ = fabric_->reset(peer_, link_);
    if (clean_)
        ++generation_;
    return clean_;
}

bool Handshake::connect(const LinkOffer& theirs) {
    clean_ = false;
    if (fabric_->connect(peer_, link_, theirs.endpoint)) {
        connected_to_ = theirs.generation;
        return true;
    }
    cut();
    return false;
}

bool Handshake::drive(const LinkOffer& theirs) {
    if (up()) {
        if (theirs.generation == connected_to_)
            return false;
        cut(); // The other end has reset since: what we are connected to is gone.
        return true;
    }
    const bool changed = !clean_;
    if (!ensure_cut())
        return changed;
    if (theirs.generation == 0 || theirs.connected_to != generation_)
        return changed;
    other_is_up_ = connect(theirs);
    return true;
}

bool Handshake::follow(const LinkOffer& theirs) {
    if (theirs.generation == 0)
        return false;
    if (up() && connected_to_ == theirs.generation) {
        other_is_up_ |= theirs.connected_to == generation_;
        return false;
    }
    if (ensure_cut())
        connect(theirs);
    return true;
}

LinkOffer Handshake::offer() const {
    if (!clean_ && !up())
        return {};
    return {generation_, connected_to_, fabric_->endpoint(peer_, link_)};
}

} // namespace rdma_paxos
