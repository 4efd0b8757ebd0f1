// SPDX-License-Identifier: Apache-2.0
//
// Doubt (pre-vote), candidacy, vote, fence, adoption. See docs/consensus.md, "Election".
#include "consensus/replica_impl.h"

#include "consensus/shared_bytes.h"

#include <algorithm>
#include <tuple>

namespace rdma_paxos {

namespace {

auto rank(const Row& row) {
    return std::tuple(row.end_term, row.end_index);
}

} // namespace

void Replica::Impl::set_role(Role role, Term term) {
    if (role == role_ && term == term_)
        return;
    if (role_ == Role::leader)
        told_end_ = end_;
    role_ = role;
    term_ = term;
    next_look_ = never;
    rows_changed();
    hurry();
    listener_.on_role(role, term);
}

// Each step of an election waits for others' looks at their boards: for a short while, look more often.
void Replica::Impl::hurry() {
    hurries_until_ = now_ + 10 * config_.timing.follower_poll;
}

void Replica::Impl::reset_election_timer(Nanoseconds extra) {
    const bool preferred = config_.preferred_leader == config_.self;
    election_deadline_ = now_ + extra + stretch() * score_.patience(config_.timing, random_(), preferred);
}

// Who tries in vain may be too fast for the others: hosts that are overloaded answer a doubt, or a candidacy, when
// its time is over. So after two rounds each lasts longer than the one before, up to eight times.
unsigned Replica::Impl::stretch() const {
    constexpr unsigned usual_attempts = 4, doublings_max = 3;
    if (planted_bugs.impatient)
        return 1;
    return 1u << std::min(futile_ - std::min(futile_, usual_attempts), doublings_max);
}

void Replica::Impl::hear_leader(ReplicaId from, Term term) {
    if (from != leader_heard_from_)
        score_.forget();
    else
        score_.heard(now_ - leader_heard_, config_.timing);
    leader_heard_ = now_;
    leader_heard_from_ = from;
    leader_heard_term_ = term;
    futile_ = 0;
    pause_excused_ = false;
    reset_election_timer();
}

// We were stopped. Silence says nothing about the leader; links may need to be connected again first. But where
// each tick comes late, on an overloaded host, a dead leader must be missed all the same: so only once for each
// silence.
void Replica::Impl::excuse_pause() {
    const Nanoseconds extra = 3 * config_.timing.election_timeout_max;
    if ((!pause_excused_ || planted_bugs.endless_excuses) && election_deadline_ < now_ + extra)
        reset_election_timer(extra);
    pause_excused_ = true;
}

// While this is true, the leader's lease may still run: we must not help to elect anybody else. Unless that leader,
// or a later one, has `released` its lease in the candidate's favour.
bool Replica::Impl::leader_is_heard_by_us(ReplicaId except, Term released) const {
    return leader_heard_from_ != except && now_ - leader_heard_ < config_.timing.election_timeout_min &&
           (released == Term() || leader_heard_term_ > released);
}

// Members that have a state machine and a sound disk. Who was started with a state machine, and taken in as a
// witness by a leader that had not met it yet, is a witness.
bool Replica::Impl::may_stand() const {
    const Member* listed = membership_.find(config_.self);
    const bool witness = witness_ || (listed && listed->witness);
    return self_votes() && !witness && !abstains_ && !dismissed_ && !recovering_ && !failure_;
}

// A candidate whose log is shorter will read ours, over its own, from its commit point on. Our ring must still hold
// those bytes. That follows from no simple bound (an abandoned tail may have been written over them), so it is
// checked: the chain must lead from the candidate's commit point to our end.
bool Replica::Impl::can_adopt_mine(const Row& row) const {
    return rank(row) >= std::tuple(end_.term, end_.index) || leads_to_our_end(row);
}

// Shuts out everybody who could write our log. False if that could not be completed, or if a heartbeat landed while
// we were at it: then its sender may count on us, and we must not vote. (A heartbeat whose write completed at the
// leader was in our memory before the reset, so it is found here at the latest: that makes the lease safe.)
bool Replica::Impl::fence(Term released) {
    bool complete = true;
    if (!planted_bugs.skip_fence)
        for (Peer& peer : peers_) {
            counters_.fences += peer.log.up();
            stop_sending(peer);
            complete &= peer.log.ensure_cut();
            peer.row_due = true;
        }
    LeaderCell cell;
    copy_shared(&cell, cell_memory_.data(), sizeof cell);
    if (cell != seen_cell_) {
        seen_cell_ = cell;
        if (role_ != Role::leader && granted_to_ != nobody && granted_to_ != config_.self) {
            const Term from(cell_is_valid(cell, salt_) ? cell.term : term_.value());
            hear_leader(granted_to_, from);
            complete &= planted_bugs.ignore_late_heartbeat || (released != Term() && from <= released);
        }
    }
    return complete;
}

void Replica::Impl::become_follower(Term term, ReplicaId leader) {
    if (role_ == Role::leader) {
        // Our own lease may still run; it binds us as it binds those who acknowledged it.
        remember_lease();
        leader_heard_ = std::max(leader_heard_, lease_given_);
        leader_heard_from_ = config_.self;
        leader_heard_term_ = term_;
        handing_to_ = nobody;
    }
    if (term > term_) {
        voted_for_ = nobody;
        handed_over_ = false;
    }
    granted_to_ = leader;
    leader_ = leader;
    adopting_from_ = nobody;
    candidacy_released_ = Term();
    set_role(idle_role(), term);
    rescan_log();
    tell(TransitionKind::follow, term_, leader);
    rows_changed();
}

// What the rows say of other leaderships.
void Replica::Impl::observe_terms() {
    for (Peer& peer : peers_) {
        const Row& row = peer.row;
        if (row.role == Role::leader && row.term >= term_ && is_alive(peer))
            dismissed_ = row.dismissed && !self_votes();
        // The last row of a leader that died says for ever that it leads.
        const bool news = row.term > term_
                              ? is_alive(peer)
                              : row.term == term_ && leader_ != peer.id && peer.last_heard > doubt_began_ &&
                                    (row.has_quorum || granted_to_ != peer.id);
        if (row.role == Role::leader && news) {
            invariant(role_ != Role::leader || row.term > term_, "two leaders in one term");
            if (row.term == term_ && granted_to_ == peer.id) {
                leader_ = peer.id; // we voted for it
                set_role(idle_role(), term_);
                reset_election_timer();
                continue;
            }
            if (role_ == Role::leader)
                tell(TransitionKind::step_down, term_);
            (void)fence(); // an unfinished cut is finished before the link is connected again
            become_follower(row.term, peer.id);
            reset_election_timer();
        } else if (role_ == Role::leader && row.term > term_ && peer.listed && is_alive(peer)) {
            // A live replica cannot follow us because it took part in a later, unfinished election. Only a newer
            // term can take it back in; we may well be the ones who win it.
            tell(TransitionKind::step_down, term_);
            (void)fence();
            become_follower(row.term, nobody);
            election_deadline_ = now_;
        }
    }
}

void Replica::Impl::follow_owner() {
    Peer* owner = find(granted_to_);
    if (role_ == Role::leader || role_ == Role::candidate)
        return;
    // A fence that the fabric could not complete at once is completed before anybody is let in.
    for (Peer& peer : peers_)
        if (&peer != owner && !planted_bugs.skip_fence && !peer.log.ensure_cut())
            return;
    if (!owner)
        return;
    const Row& row = owner->row;
    if (row.term != term_ || (row.role != Role::leader && row.role != Role::candidate) || !is_alive(*owner))
        return;
    if (owner->log.follow(row.log_link)) {
        owner->row_due = true;
        next_rescan_ = never;
    }
}

// A leader that gives up shuts its followers out at once: they must not go on counting on what it may still send.
void Replica::Impl::stand_back() {
    if (role_ == Role::leader) {
        tell(TransitionKind::step_down, term_);
        (void)fence();
        become_follower(term_, nobody);
    } else if (role_ == Role::candidate)
        abandon_candidacy();
    else if (role_ == Role::pre_candidate)
        set_role(idle_role(), term_);
    if (now_ >= election_deadline_)
        reset_election_timer();
}

void Replica::Impl::run_election() {
    const bool lays_down = abstains_ || failure_ || dismissed_ || (role_ != Role::leader && !may_stand());
    if (lays_down)
        stand_back();
    if (role_ == Role::leader) {
        answer_doubts();
        return;
    }
    if (role_ == Role::pre_candidate)
        answer_candidates(); // who stands already is not to be outrun
    if (role_ == Role::candidate)
        continue_candidacy();
    else if (role_ == Role::follower && now_ >= election_deadline_)
        start_doubt();
    if (role_ == Role::pre_candidate) {
        if (leader_is_heard_by_us(nobody) && leader_heard_from_ != config_.self) {
            set_role(idle_role(), term_);
            leader_ = row_says_leader(leader_heard_from_) ? leader_heard_from_ : nobody;
        } else {
            const bool shared = electorate([&](const Peer& peer) {
                return is_alive(peer) && peer.row.shares_doubt_of == config_.self &&
                       peer.row.shared_doubt == doubt_;
            });
            if (shared)
                start_candidacy(Term(), Term());
            else if (now_ >= election_deadline_)
                start_doubt();
        }
    }
    answer_doubts();
    if (role_ != Role::leader) // it may have become one just now
        answer_candidates();
}

bool Replica::Impl::row_says_leader(ReplicaId id) const {
    const Peer* peer = find(id);
    return peer && peer->row.role == Role::leader && peer->row.term == term_;
}

void Replica::Impl::start_doubt() {
    reset_election_timer();
    const bool virgin = term_ == Term() && std::all_of(peers_.begin(), peers_.end(),
                                                       [](const Peer& peer) { return peer.row.term == Term(); });
    if (virgin && config_.initial_leader == config_.self) {
        start_candidacy(Term(), Term()); // nobody can miss a leader that never was
        return;
    }
    tell(TransitionKind::doubt, term_);
    ++futile_;
    ++counters_.pre_votes;
    ++doubt_;
    doubt_began_ = now_;
    leader_ = nobody;
    set_role(Role::pre_candidate, term_);
    rows_changed();
}

void Replica::Impl::answer_doubts() {
    // A leader denies by silence, unless it has been without a majority for so long that it is none.
    const bool may_share = role_ != Role::leader || !has_quorum(4 * config_.timing.election_timeout_max);
    ReplicaId chosen;
    std::uint64_t chosen_doubt = 0;
    auto best = std::tuple(end_.term, end_.index);
    for (const Peer& peer : peers_) {
        const Row& row = peer.row;
        if (!may_share || row.role != Role::pre_candidate || !is_alive(peer) || !can_adopt_mine(row) ||
            leader_is_heard_by_us(peer.id))
            continue;
        // Two who doubt at once would split the votes: the one with less to offer gives way, and among equals the
        // one who is not preferred, or has the higher id.
        const bool rival = role_ == Role::pre_candidate || chosen != nobody;
        const ReplicaId against = chosen != nobody ? chosen : config_.self;
        const bool loses_tie =
            against == config_.preferred_leader || (peer.id != config_.preferred_leader && peer.id > against);
        if (rival && (rank(row) < best || (rank(row) == best && loses_tie)))
            continue;
        chosen = peer.id;
        chosen_doubt = row.doubt;
        best = rank(row);
    }
    if (chosen != shares_doubt_of_ || chosen_doubt != shared_doubt_) {
        shares_doubt_of_ = chosen;
        shared_doubt_ = chosen_doubt;
        rows_changed();
        hurry();
    }
}

// With a `term`, its leader-to-be: the leader of the term before, `released`, laid down for us. Else in the next
// one that nobody has used.
void Replica::Impl::start_candidacy(Term term, Term released) {
    if (leader_is_heard_by_us(config_.self, released) || !fence(released)) {
        set_role(idle_role(), term_);
        reset_election_timer();
        return;
    }
    if (term == Term()) {
        term = term_;
        for (const Peer& peer : peers_)
            term = std::max(term, peer.row.term);
        term = term.next();
    }
    ++futile_;
    ++counters_.elections;
    voted_for_ = granted_to_ = config_.self;
    handed_over_ = false;
    leader_ = nobody;
    adopting_from_ = nobody;
    candidacy_began_ = now_;
    candidacy_released_ = released;
    reset_election_timer();
    candidacy_deadline_ = election_deadline_;
    set_role(Role::candidate, term);
    rescan_log();
    tell(TransitionKind::stand, term_, config_.self, end_);
}

void Replica::Impl::abandon_candidacy() {
    // Bytes that we asked for must not arrive later in what is our log again.
    for (Peer& peer : peers_) {
        (void)peer.log.ensure_cut();
        peer.row_due = true;
    }
    adopting_from_ = nobody;
    candidacy_released_ = Term();
    set_role(idle_role(), term_);
    rescan_log();
    reset_election_timer();
}

bool Replica::Impl::gave_vote(const Peer& peer) const {
    return peer.row.term == term_ && peer.row.voted_for == config_.self && peer.row.granted_to == config_.self;
}

// Whether it stands in our log, or we know what else was decided in its place.
bool Replica::Impl::holds(const EntryId& entry) const {
    Cursor at = commit_;
    if (entry.index <= at.index)
        return true;
    while (at.index < entry.index && at.position < end_.position)
        at = ring_.read_known(at).after;
    return at.index == entry.index && at.term == entry.term;
}

// A majority; and, where disks may have lost what they acknowledged, so many that whatever a majority once held is
// still held by a voter whose disk is sound. All members together suffice as well (more rot than that nobody
// survives), but only those of the newest membership: not as long as one of them remembers having lost one that we
// do not hold. (If somebody's log is better than ours we shall adopt it, and ask again.)
bool Replica::Impl::suffices(const MemberSet& set, bool Peer::*counts, bool self_counts, auto&& gives) const {
    std::size_t votes = self_counts;
    std::size_t suspects = self_counts && suspect_;
    bool newest = holds(lost_membership_);
    bool will_adopt = false;
    for (const Peer& peer : peers_) {
        if (!gives(peer))
            continue;
        will_adopt |= rank(peer.row) > std::tuple(end_.term, end_.index);
        if (!(peer.*counts))
            continue;
        ++votes;
        suspects += peer.row.suspect;
        newest &= holds(peer.row.lost_membership);
    }
    const bool sound = set.majority() + votes > set.size() + suspects;
    const bool all = votes == set.size() && (newest || will_adopt || planted_bugs.stale_members);
    return votes >= set.majority() && (sound || all);
}

// True if those who give their vote, or share a doubt, may make us leader, by the membership in our log.
bool Replica::Impl::electorate(auto&& gives) const {
    return suffices(membership_.voters, &Peer::counts_old, self_counts_old_, gives) &&
           (membership_.phase != Membership::Phase::joint ||
            suffices(membership_.target, &Peer::counts_new, self_counts_new_, gives));
}

void Replica::Impl::continue_candidacy() {
    if (now_ >= candidacy_deadline_ || adoption_failed_) {
        adoption_failed_ = false;
        abandon_candidacy();
        return;
    }
    Peer* best = nullptr;
    for (Peer& peer : peers_) {
        if (!gave_vote(peer))
            continue;
        keep_log_link(peer);
        if (!best || rank(peer.row) > rank(best->row))
            best = &peer;
    }
    if (adopting_from_ != nobody) {
        adopt_from(*find(adopting_from_));
        return;
    }
    // The membership that counts is the one in the log with which we would lead: it may have come by adoption.
    if (!may_stand() || !electorate([this](const Peer& peer) { return gave_vote(peer); }) || !state_is_durable())
        return;
    if (best && rank(best->row) > std::tuple(end_.term, end_.index)) {
        adopting_from_ = best->id;
        adopting_ = best->row;
        adoption_posted_ = adoption_failed_ = false;
        reads_in_flight_ = 0;
        adopt_from(*best);
    } else
        become_leader();
}

// Of the voters one has the longest log of the highest term; everything that can have been committed is in it, and
// nothing that we hold beyond what it has can have been. So its bytes may go over ours from our commit point on.
void Replica::Impl::adopt_from(Peer& best) {
    if (adoption_posted_) {
        if (reads_in_flight_ == 0 && !adoption_failed_)
            finish_adoption();
        return;
    }
    if (!best.log.up())
        return;
    const std::uint64_t from = commit_.position;
    const std::uint64_t to = adopting_.end_position;
    const bool possible = to > from && to - from <= ring_.size() && to - released() <= ring_.size();
    adoption_posted_ = true;
    adoption_failed_ = !possible;
    for (std::uint64_t at = from; possible && at < to && !adoption_failed_;) {
        const auto target = ring_.piece(at, to, to - at);
        if (fabric_.post_read(best.id, Link::log, ring_offset + ring_.offset_of(at), target,
                              static_cast<WorkId>(Work::adoption)))
            ++reads_in_flight_;
        else
            adoption_failed_ = true;
        at += target.size();
    }
}

void Replica::Impl::finish_adoption() {
    const Index had = end_.index;
    rescan_log();
    if (end_.position != adopting_.end_position || end_.check != adopting_.end_check) {
        adoption_failed_ = true;
        return;
    }
    counters_.adoptions += end_.index.value() - std::min(had, end_.index).value();
    tell(TransitionKind::adopt, term_, adopting_from_, end_);
    adopting_from_ = nobody;
    continue_candidacy();
}

void Replica::Impl::answer_candidates() {
    for (Peer& peer : peers_) {
        const Row& row = peer.row;
        const bool eligible =
            row.role == Role::candidate && is_alive(peer) &&
            (row.term > term_ || (row.term == term_ && voted_for_ == nobody && leader_ == nobody)) &&
            can_adopt_mine(row) && !leader_is_heard_by_us(peer.id, row.released) && !failure_;
        if (!eligible || !fence(row.released))
            continue;
        rescan_log(); // the last bytes of the leader that we have just shut out count
        if (!can_adopt_mine(row))
            continue;
        ++counters_.votes;
        become_follower(row.term, nobody);
        voted_for_ = granted_to_ = peer.id;
        tell(TransitionKind::vote, term_, peer.id, end_);
        reset_election_timer();
        (void)peer.log.follow(row.log_link);
        rows_changed();
        hurry();
        return;
    }
}

} // namespace rdma_paxos
