// SPDX-License-Identifier: Apache-2.0
//
// Who counts, and how that changes. See docs/consensus.md, "Change of membership".
#include "consensus/membership_codec.h"
#include "consensus/replica_impl.h"

namespace rdma_paxos {

// A founding membership names no incarnations: it means the first that anybody met, which never is one that says of
// itself that it came later.
bool Replica::Impl::counts(const Peer& peer, const MemberSet& set) const {
    const Member* member = set.find(peer.id);
    if (!member || peer.incarnation == 0)
        return false;
    return member->incarnation != 0 ? peer.incarnation == member->incarnation
                                    : peer.incarnation == peer.first_incarnation && !peer.row.newcomer;
}

bool Replica::Impl::counts_self(const MemberSet& set) const {
    const Member* member = set.find(config_.self);
    return member && (member->incarnation != 0 ? member->incarnation == incarnation_ : !newcomer_);
}

void Replica::Impl::recount() {
    remember_lease();
    const bool joint = membership_.phase == Membership::Phase::joint;
    self_counts_old_ = counts_self(membership_.voters);
    self_counts_new_ = joint && counts_self(membership_.target);
    self_listed_ = self_counts_old_ || counts_self(membership_.target);
    for (Peer& peer : peers_) {
        peer.counts_old = counts(peer, membership_.voters);
        peer.counts_new = joint && counts(peer, membership_.target);
        peer.listed = peer.counts_old || counts(peer, membership_.target);
    }
    if (self_votes())
        dismissed_ = false;
    if (role_ == Role::follower || role_ == Role::learner)
        set_role(idle_role(), term_);
}

// In effect from now on, committed or not.
void Replica::Impl::configure(const Membership& membership) {
    if (membership == membership_)
        return;
    remember_lease();
    membership_ = membership;
    ++counters_.membership_changes;
    recount();
    rows_changed();
    tell(TransitionKind::configure, term_, nobody, {}, &membership_);
    listener_.on_membership(membership_);
}

MemberSet Replica::Impl::with_known_incarnations(const MemberSet& set) const {
    MemberSet named;
    for (Member member : set) {
        if (member.incarnation == 0) {
            const Peer* peer = find(member.id);
            if (member.id == config_.self)
                member.incarnation = newcomer_ ? 0 : incarnation_;
            else if (peer && counts(*peer, set))
                member.incarnation = peer->incarnation;
        }
        (void)named.add(member);
    }
    return named;
}

void Replica::Impl::append_membership(Membership membership) {
    membership.index = end_.index.next();
    std::array<std::byte, max_encoded_membership> body;
    const std::size_t length = encode_membership(membership, body);
    invariant(length > 0, "a membership that cannot be written");
    drop_followers_behind(end_.position + ring_.room_for(end_.position, length));
    append(EntryKind::membership, Bytes(body).first(length));
    change_appended_ = now_;
    pending_memberships_.push_back({{end_.index, end_.term}, membership});
    configure(membership);
}

tl::expected<void, ChangeError> Replica::Impl::change_membership(std::span<const Member> members) {
    if (role_ != Role::leader)
        return tl::make_unexpected(ChangeError::not_leader);
    if (members.size() % 2 == 0 || members.size() > max_replicas)
        return tl::make_unexpected(ChangeError::bad_members);
    MemberSet target;
    bool somebody_can_lead = false;
    for (Member member : members) {
        if (member.id == nobody || member.id.value() > max_replica_id)
            return tl::make_unexpected(ChangeError::bad_members);
        if (member.incarnation == 0) {
            const Peer* peer = find(member.id);
            if (member.id == config_.self)
                member.incarnation = incarnation_;
            else if (peer && peer->incarnation != 0)
                member.incarnation = peer->incarnation;
            else if (const Member* old = membership_.voters.find(member.id))
                member.incarnation = old->incarnation; // a member that stays, dead or not
            else
                return tl::make_unexpected(ChangeError::unknown);
        }
        // Whether it has a state machine was decided when it was started.
        const Peer* met = find(member.id);
        const bool known = member.id == config_.self || (met && met->incarnation == member.incarnation);
        if (known && member.witness != (met ? met->row.witness : witness_))
            return tl::make_unexpected(ChangeError::bad_members);
        if (!target.add(member))
            return tl::make_unexpected(ChangeError::bad_members);
        somebody_can_lead |= !member.witness;
    }
    if (!somebody_can_lead)
        return tl::make_unexpected(ChangeError::bad_members);
    const bool settled = membership_.phase == Membership::Phase::stable && membership_.index <= commit_.index &&
                         commit_.index >= term_start_.index && handing_to_ == nobody;
    if (!settled)
        return tl::make_unexpected(ChangeError::busy);
    const MemberSet voters = with_known_incarnations(membership_.voters);
    if (target == voters)
        return tl::make_unexpected(ChangeError::unchanged);
    if (end_.position + 2 * ring_.room_for(end_.position, max_encoded_membership) > free_end())
        return tl::make_unexpected(ChangeError::busy);
    append_membership({.phase = Membership::Phase::catching_up, .voters = voters, .target = target});
    return {};
}

bool Replica::Impl::cancel_change() {
    if (role_ != Role::leader || membership_.phase != Membership::Phase::catching_up ||
        membership_.index > commit_.index)
        return false;
    append_membership({.phase = Membership::Phase::stable, .voters = membership_.voters});
    return true;
}

// A learner has caught up once it has held everything that was committed at that moment.
bool Replica::Impl::caught_up(const Peer& peer) const {
    return peer.sending && held_by(peer) >= commit_.position;
}

// Where all others of the new members are witnesses, or missed more than the ring holds, the one left that has a
// state must not be left behind: once its leader is gone nobody could lead.
bool Replica::Impl::somebody_will_lead(const MemberSet& members) const {
    return std::any_of(members.begin(), members.end(), [this](const Member& member) {
        if (member.id == config_.self)
            return member.incarnation == incarnation_ && may_stand();
        const Peer* peer = find(member.id);
        if (!peer || !peer->listed || member.witness || peer->row.witness || !caught_up(*peer))
            return false;
        const bool learns = !peer->counts_old && !peer->counts_new; // it says that it cannot lead: not yet
        return learns || !peer->row.cannot_lead;
    });
}

// One step at a time: the next one is only taken when the membership in effect is committed. So at any time at most
// two neighbouring memberships are in effect anywhere, and any two majorities of neighbours have a member in
// common.
void Replica::Impl::continue_change() {
    if (membership_.index > commit_.index || commit_.index < term_start_.index)
        return;
    switch (membership_.phase) {
    case Membership::Phase::stable:
        if (!self_votes())
            stand_back(); // we led our own removal
        return;
    case Membership::Phase::catching_up: {
        for (const Member& member : membership_.target) {
            if (membership_.voters.find(member.id) && *membership_.voters.find(member.id) == member)
                continue;
            const Peer* peer = find(member.id);
            const bool ready = member.id == config_.self || (peer && peer->listed && caught_up(*peer));
            if (!ready)
                return;
        }
        if (!somebody_will_lead(membership_.target))
            return;
        append_membership(
            {.phase = Membership::Phase::joint, .voters = membership_.voters, .target = membership_.target});
        return;
    }
    case Membership::Phase::joint:
        // Leases that were announced before the new members had a say must be over, or be theirs too.
        if (quorum_time() < change_appended_ || !somebody_will_lead(membership_.target))
            return;
        append_membership({.phase = Membership::Phase::stable, .voters = membership_.target});
        return;
    }
}

} // namespace rdma_paxos
