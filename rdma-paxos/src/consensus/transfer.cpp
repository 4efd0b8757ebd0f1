// SPDX-License-Identifier: Apache-2.0
//
// Leadership handed over on request. The leader waits until its successor holds the whole log, then gives up its
// lease, fences, and votes for the successor in the next term; the row that says so is the one message of the
// transfer. With three replicas the successor's own vote makes that a majority.
#include "consensus/replica_impl.h"

namespace rdma_paxos {

tl::expected<void, TransferError> Replica::Impl::transfer_leadership(ReplicaId to) {
    if (role_ != Role::leader)
        return tl::make_unexpected(TransferError::not_leader);
    if (handing_to_ != nobody || membership_.phase != Membership::Phase::stable)
        return tl::make_unexpected(TransferError::busy);
    const Peer* peer = find(to);
    const Member* member = membership_.find(to);
    if (!peer || !member || member->witness || !peer->counts_old || !is_alive(*peer) || !peer->sending ||
        peer->row.cannot_lead)
        return tl::make_unexpected(TransferError::unfit);
    handing_to_ = to;
    handing_deadline_ = now_ + config_.timing.election_timeout_max;
    next_look_ = never;
    return {};
}

void Replica::Impl::continue_transfer() {
    if (handing_to_ == nobody)
        return;
    Peer* peer = find(handing_to_);
    const bool possible = peer && peer->counts_old && is_alive(*peer) && !peer->row.cannot_lead;
    if (!possible || now_ >= handing_deadline_) {
        handing_to_ = nobody;
        lease_floor_ = now_; // leases that were void stay void
        return;
    }
    if (!peer->sending || held_by(*peer) < end_.position || commit_.position < end_.position)
        return;
    ++counters_.transfers;
    handing_to_ = nobody;
    (void)fence();
    tell(TransitionKind::step_down, term_);
    const ReplicaId successor = peer->id;
    const Term next = term_.next();
    become_follower(next, nobody);
    leader_heard_ = never; // no lease of ours binds us any more
    voted_for_ = granted_to_ = successor;
    handed_over_ = true;
    tell(TransitionKind::vote, term_, successor, end_);
    reset_election_timer();
}

// Our turn, if a leader has just laid down for us.
void Replica::Impl::accept_handover() {
    if (role_ == Role::leader || role_ == Role::candidate || !may_stand())
        return;
    for (const Peer& peer : peers_) {
        const Row& row = peer.row;
        if (!row.handed_over || row.voted_for != config_.self || row.term <= term_ || !is_alive(peer))
            continue;
        start_candidacy(row.term, Term(row.term.value() - 1));
        return;
    }
}

} // namespace rdma_paxos
