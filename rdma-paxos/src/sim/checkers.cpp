// SPDX-License-Identifier: Apache-2.0
#include "sim/checkers.h"

#include "consensus/hash.h"

#include <algorithm>
#include <fmt/format.h>

namespace rdma_paxos::sim {

void Checkers::fail(Nanoseconds now, std::string what) {
    if (!violation_)
        violation_ = fmt::format("{:.6f} s: {}", std::chrono::duration<double>(now).count(), what);
}

void Checkers::on_start(ReplicaId id, const Cursor& from, Index applied) {
    Watched& it = watched(id);
    const Watched before = it;
    it = {};
    it.exists = true;
    it.promised_until = before.promised_until;
    it.promised_in = before.promised_in;
    it.known = from;
    it.last = from.index;
    it.last_applied = applied;
}

void Checkers::on_install(ReplicaId id, const SnapshotPoint& point, Nanoseconds now) {
    watched(id).last_applied = std::max(watched(id).last_applied, point.index);
    (void)skip_to(id, point, now);
}

// What a replica does not hold any more, or never held, because it has the state instead: the point is right if its
// check, which covers everything before it, is that of the committed entry. False if the point is no news.
bool Checkers::skip_to(ReplicaId id, const SnapshotPoint& point, Nanoseconds now) {
    Watched& it = watched(id);
    if (point.index <= it.known.index)
        return false;
    if (point.index > committed_up_to() || committed_[point.index.value() - 1].check != point.check)
        fail(now, fmt::format("{} has a state of index {} that does not belong to the committed log", id.value(),
                              point.index.value()));
    it.known = cursor_of(point);
    return true;
}

void Checkers::on_crash(ReplicaId id) {
    watched(id).exists = false;
}

// Log matching: entries of the same index and term are the same entry. The check of an entry covers all before it,
// so comparing that one word compares the histories.
void Checkers::see(ReplicaId id, const Cursor& entry, Nanoseconds now) {
    const std::size_t at = entry.index.value();
    if (seen_.size() <= at)
        seen_.resize(std::max<std::size_t>(at + 1, 2 * seen_.size()));
    for (const Entry& known : seen_[at])
        if (known.term == entry.term) {
            if (known.check != entry.check || known.position != entry.position)
                fail(now, fmt::format("log matching: {} holds another entry at index {} of term {} than was seen "
                                      "before",
                                      id.value(), entry.index.value(), entry.term.value()));
            return;
        }
    seen_[at].push_back({entry.check, entry.position, entry.term, Term()});
}

void Checkers::commit(ReplicaId id, const Cursor& entry, Term term, Nanoseconds now) {
    const std::size_t at = entry.index.value() - 1;
    if (at < committed_.size()) {
        if (committed_[at].check != entry.check)
            fail(now,
                 fmt::format("{} says that index {} is committed with term {}; it was committed with term {}",
                             id.value(), entry.index.value(), entry.term.value(), committed_[at].term.value()));
    } else if (at == committed_.size())
        committed_.push_back({entry.check, entry.position, entry.term, term});
    else
        fail(now, fmt::format("{} commits index {}, but nobody was seen to commit {}", id.value(),
                              entry.index.value(), committed_.size() + 1));
}

// Reads what its memory holds behind the entries that are known to be right already.
void Checkers::read_log(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now) {
    Watched& it = watched(id);
    const Index committed = replica.commit_index();
    const Index last = replica.last_index();
    Cursor at = it.known;
    if (committed < it.committed)
        fail(now, fmt::format("{} takes back that {} is committed", id.value(), it.committed.value()));
    it.committed = committed;
    while (at.index < last) {
        auto entry = ring.read(at);
        // One that starts from its disk reads more than its ring holds at once.
        if (!entry && at.index < committed && skip_to(id, replica.snapshot_point(), now)) {
            at = it.known;
            continue;
        }
        if (!entry)
            break;
        at = entry->after;
        see(id, at, now);
        if (at.index <= committed) {
            commit(id, at, replica.term(), now);
            it.known = at;
        }
    }
    it.last = last;
    if (it.known.index < committed)
        fail(now, fmt::format("{} says that everything up to {} is committed, but its log is broken behind {}",
                              id.value(), committed.value(), it.known.index.value()));
}

void Checkers::on_lease_given_up(ReplicaId id, Nanoseconds now) {
    watched(id).promised_until = std::min(watched(id).promised_until, now);
}

void Checkers::on_leader(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now) {
    const std::size_t term = replica.term().value();
    if (leader_of_term_.size() <= term)
        leader_of_term_.resize(std::max<std::size_t>(term + 1, 2 * leader_of_term_.size()));
    if (leader_of_term_[term] == nobody)
        ++leaderships_;
    else if (leader_of_term_[term] != id)
        fail(now,
             fmt::format("two leaders in term {}: {} and {}", term, leader_of_term_[term].value(), id.value()));
    leader_of_term_[term] = id;

    read_log(replica, id, ring, now);
    holds_what_is_committed(replica, id, ring, now);
    for (std::size_t other = 0; other < watched_.size(); ++other)
        if (other != id.value() && watched_[other].promised_in < replica.term() &&
            now < watched_[other].promised_until)
            fail(now, fmt::format("{} leads term {} while {} holds a lease for another {} us", id.value(), term,
                                  other, (watched_[other].promised_until - now).count() / 1000));
}

// Everything that was committed in earlier terms stands in a new leader's log: behind what was compared before,
// entry by entry. (Votes may arrive so late that somebody begins to lead a term when a later one has committed
// already. That is no harm: it can commit nothing.)
void Checkers::holds_what_is_committed(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now) {
    Cursor at = watched(id).known;
    const std::uint64_t term = replica.term().value();
    while (at.index < committed_up_to()) {
        const Entry& committed = committed_[at.index.value()];
        if (committed.committed_in > replica.term())
            return;
        const auto entry = ring.read(at);
        if (!entry || entry->after.index > replica.last_index()) {
            fail(now, fmt::format("{} leads term {} with a log up to {}, but {} is committed", id.value(), term,
                                  at.index.value(), committed_up_to().value()));
            return;
        }
        at = entry->after;
        if (committed.check != at.check) {
            fail(now, fmt::format("{} leads term {} with another entry (of term {}) at index {} than was committed "
                                  "(of term {})",
                                  id.value(), term, at.term.value(), at.index.value(), committed.term.value()));
            return;
        }
    }
}

void Checkers::on_apply(ReplicaId id, Index index, Term term, Bytes body, Nanoseconds now) {
    const std::uint64_t hash = hash64(body.data(), body.size());
    const std::size_t at = index.value() - 1;
    const bool is_new = at >= applied_.size() || applied_[at].term == Term();
    if (is_new) {
        if (at < applied_.size())
            fail(now, fmt::format("{} applies index {}, which others skipped", id.value(), index.value()));
        else
            applied_.resize(at + 1);
        applied_[at] = {term, hash};
        ++applied_entries_;
    } else if (applied_[at].term != term || applied_[at].body_hash != hash)
        fail(now, fmt::format("{} applies another entry at index {} (term {}) than was applied before (term {})",
                              id.value(), index.value(), term.value(), applied_[at].term.value()));
    Watched& it = watched(id);
    if (index <= it.last_applied)
        fail(now, fmt::format("{} applies index {} after {}", id.value(), index.value(), it.last_applied.value()));
    for (std::size_t skipped = it.last_applied.value(); skipped < at; ++skipped)
        if (applied_[skipped].term != Term())
            fail(now, fmt::format("{} skips index {}", id.value(), skipped + 1));
    it.last_applied = index;
}

void Checkers::on_step(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds lease_until,
                       Nanoseconds now) {
    Watched& it = watched(id);
    const bool same = replica.last_index() == it.last && replica.commit_index() == it.committed;
    if (!same)
        read_log(replica, id, ring, now);
    if (replica.role() != Role::leader || now >= lease_until)
        return;
    ++leases_seen_;
    // A lease that was announced stays with whoever was told, even if the replica stepped down since.
    if (lease_until > it.promised_until) {
        it.promised_until = lease_until;
        it.promised_in = replica.term();
    }
    for (std::size_t other = 0; other < watched_.size(); ++other)
        if (other != id.value() && now < watched_[other].promised_until)
            fail(now, fmt::format("{} and {} hold leases at once", id.value(), other));
}

} // namespace rdma_paxos::sim
