// SPDX-License-Identifier: Apache-2.0
#include "sim/checkers.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rdma_paxos::sim {

void Checkers::fail(Nanoseconds now, std::string what) {
    if (!violation_)
        violation_ = fmt::format("{:.6f} s: {}", std::chrono::duration<double>(now).count(), what);
}

void Checkers::on_leader(ReplicaId id, Term term, Index last_index, Nanoseconds now) {
    const auto [leader, is_new] = leaders_.try_emplace(term, id);
    if (leader->second != id)
        fail(now,
             fmt::format("two leaders in term {}: {} and {}", term.value(), leader->second.value(), id.value()));
    if (last_index < committed_up_to_)
        fail(now, fmt::format("{} leads term {} with a log up to {}, but {} is committed", id.value(), term.value(),
                              last_index.value(), committed_up_to_.value()));
    for (const auto& [other, until] : promised_until_)
        if (other != id && now < until)
            fail(now, fmt::format("{} leads term {} while {} holds a lease for another {} us", id.value(),
                                  term.value(), other.value(), (until - now).count() / 1000));
}

void Checkers::on_apply(ReplicaId id, Index index, Term term, Bytes body, Nanoseconds now) {
    const std::uint64_t hash = XXH3_64bits(body.data(), body.size());
    const auto [known, is_new] = entries_.try_emplace(index, Known{term, hash});
    if (known->second.term != term || known->second.body_hash != hash)
        fail(now, fmt::format("{} applies another entry at index {} (term {}) than was applied before (term {})",
                              id.value(), index.value(), term.value(), known->second.term.value()));
    if (is_new && index != entries_.rbegin()->first)
        fail(now, fmt::format("{} applies index {}, which others skipped", id.value(), index.value()));
    // The same prefix: nobody has applied anything between this replica's last entry and this one.
    if (const auto next = entries_.upper_bound(last_applied_[id]); next == entries_.end() || next->first != index)
        fail(now, fmt::format("{} applies index {} out of order", id.value(), index.value()));
    last_applied_[id] = index;
    ++applied_count_[id];
}

void Checkers::on_state(ReplicaId id, bool leads, Index commit, Nanoseconds lease_until, Nanoseconds now) {
    committed_up_to_ = std::max(committed_up_to_, commit);
    if (!leads)
        return;
    // A lease that was announced stays with whoever was told, even if the replica stepped down since.
    auto& promised = promised_until_[id];
    promised = std::max(promised, lease_until);
    for (const auto& [other, until] : promised_until_)
        if (other != id && now < until && now < lease_until)
            fail(now, fmt::format("{} and {} hold leases at once", id.value(), other.value()));
}

void Checkers::on_crash(ReplicaId id) {
    last_applied_.erase(id);
    applied_count_.erase(id);
}

std::size_t Checkers::applied_by(ReplicaId id) const {
    const auto found = applied_count_.find(id);
    return found == applied_count_.end() ? 0 : found->second;
}

} // namespace rdma_paxos::sim
