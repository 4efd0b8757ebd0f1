// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/replica.h"

#include "consensus/replica_impl.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace rdma_paxos {

const char* to_string(Role role) {
    switch (role) {
    case Role::follower:
        return "follower";
    case Role::pre_candidate:
        return "pre-candidate";
    case Role::candidate:
        return "candidate";
    case Role::leader:
        return "leader";
    case Role::learner:
        return "learner";
    }
    return "?";
}

const char* to_string(ProposeError error) {
    switch (error) {
    case ProposeError::not_leader:
        return "not the leader";
    case ProposeError::log_full:
        return "log full";
    case ProposeError::too_large:
        return "entry too large";
    case ProposeError::handing_over:
        return "handing leadership over";
    case ProposeError::nothing_reserved:
        return "nothing reserved";
    }
    return "?";
}

const char* to_string(ChangeError error) {
    switch (error) {
    case ChangeError::not_leader:
        return "not the leader";
    case ChangeError::busy:
        return "another change is under way";
    case ChangeError::bad_members:
        return "a group has 1, 3, 5 or 7 different members, not all of them witnesses";
    case ChangeError::unknown:
        return "a new member has not been met yet";
    case ChangeError::unchanged:
        return "these are the members already";
    }
    return "?";
}

const char* to_string(TransferError error) {
    switch (error) {
    case TransferError::not_leader:
        return "not the leader";
    case TransferError::busy:
        return "a transfer or a change of membership is under way";
    case TransferError::unfit:
        return "that replica cannot lead now";
    }
    return "?";
}

namespace {

std::uint64_t mix(std::uint64_t value) { // splitmix64: neighbouring seeds shall give unrelated streams
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

tl::expected<void, Error> check(const Config& config) {
    const auto bad = [](std::string why) {
        return tl::make_unexpected(Error{"replica configuration: " + std::move(why)});
    };
    const auto& members = config.members;
    if (members.empty() || (config.founding && (members.size() > max_replicas || members.size() % 2 == 0)))
        return bad(fmt::format("{} members; need 1, 3, 5 or 7", members.size()));
    auto sorted = members;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() || sorted.front() == nobody ||
        sorted.back().value() > max_replica_id)
        return bad(fmt::format("member ids must differ, and lie in 1..{}", max_replica_id));
    if (std::find(members.begin(), members.end(), config.self) == members.end())
        return bad("self is not a member");
    if (config.initial_leader != nobody &&
        std::find(members.begin(), members.end(), config.initial_leader) == members.end())
        return bad("the initial leader is not a member");
    const auto& witnesses = config.witnesses;
    if (config.founding && std::all_of(members.begin(), members.end(), [&](ReplicaId id) {
            return std::find(witnesses.begin(), witnesses.end(), id) != witnesses.end();
        }))
        return bad("all members are witnesses, so none can lead");
    if (!std::has_single_bit(config.ring_bytes) || config.ring_bytes < 4096)
        return bad(fmt::format("a ring of {} bytes; need a power of two, 4096 at least", config.ring_bytes));
    if (config.max_entry_bytes == 0 || config.max_entry_bytes > LogRing::max_body(config.ring_bytes))
        return bad(fmt::format("entries of {} bytes; the ring, of {}, must hold four of the largest",
                               config.max_entry_bytes, config.ring_bytes));
    if (config.max_write_bytes == 0 || config.max_in_flight == 0)
        return bad("max_write_bytes and max_in_flight must not be 0");
    const Timing& t = config.timing;
    if (t.slow_follower_grace < 0ns)
        return bad("slow_follower_grace must not be negative");
    if (t.heartbeat <= 0ns || t.follower_poll <= 0ns || t.link_retry <= 0ns ||
        t.election_timeout_min < 3 * t.heartbeat || t.election_timeout_max <= t.election_timeout_min)
        return bad("need 3 * heartbeat <= election_timeout_min < election_timeout_max, and no interval of 0");
    // The leader's clock may run slow and the voter's fast, each by the drift.
    const double stretched = double(t.lease.count()) * (1 + 3e-6 * t.clock_drift_ppm);
    if (t.lease <= 0ns || stretched >= double(t.election_timeout_min.count()))
        return bad("the lease must be shorter than election_timeout_min, by more than the clock drift");
    return {};
}

} // namespace

std::uint64_t name_memory(std::uint64_t life, bool founding) {
    const std::uint64_t name = mix(life) | 3;
    return founding ? name : name - 1;
}

Replica::Impl::Impl(const Config& config, Fabric& fabric, Rendezvous& rendezvous, Listener& listener,
                    Storage* storage, const std::optional<SnapshotPoint>& state)
    : config_(config), fabric_(fabric), rendezvous_(rendezvous), listener_(listener), storage_(storage),
      salt_(genesis_check(config.group)), life_(mix(config.seed ^ mix(config.self.value())) | 1),
      incarnation_(name_memory(life_, config.founding)), random_(mix(life_)),
      ring_(fabric.region(Region::log).subspan(ring_offset, config.ring_bytes)),
      cell_memory_(fabric.region(Region::log).first(sizeof(LeaderCell))),
      board_memory_(fabric.region(Region::board)), outbox_(fabric.region(Region::outbox)),
      newcomer_(!config.founding), state_at_birth_(state) {
    const auto is_witness = [&](ReplicaId id) {
        return std::find(config.witnesses.begin(), config.witnesses.end(), id) != config.witnesses.end();
    };
    witness_ = is_witness(config.self);
    peers_.reserve(max_replica_id);
    pending_memberships_.reserve(8);
    if (config.founding)
        for (const ReplicaId id : config.members)
            (void)membership_.voters.add({.id = id, .witness = is_witness(id)});
    committed_membership_ = membership_;
    end_.check = salt_;
    if (storage_)
        begin_from_storage();
    else if (state_at_birth_)
        begin_from(*state_at_birth_);
    applied_membership_ = membership_;
    commit_ = applied_ = stored_ = durable_ = told_end_ = end_;
    self_counts_old_ = counts_self(membership_.voters);
    self_listed_ = self_counts_old_ || counts_self(membership_.target);
    role_ = idle_role(); // the listener cannot be told yet
    for (const ReplicaId id : config.members)
        meet(id);
    recount();
}

void Replica::Impl::begin_from(const SnapshotPoint& point) {
    end_ = cursor_of(point);
    if (point.index == Index())
        end_.check = salt_;
    take_membership_of(point);
    membership_ = committed_membership_;
}

Replica::Impl::Peer* Replica::Impl::find(ReplicaId id) {
    for (Peer& peer : peers_)
        if (peer.id == id)
            return &peer;
    return nullptr;
}

const Replica::Impl::Peer* Replica::Impl::find(ReplicaId id) const {
    return const_cast<Impl*>(this)->find(id);
}

bool Replica::Impl::is_alive(const Peer& peer) const {
    return now_ - peer.last_heard < stretch() * config_.timing.election_timeout_max;
}

void Replica::Impl::tell(TransitionKind kind, Term term, ReplicaId peer, const Cursor& at,
                         const Membership* membership) const {
    if (observer_) [[unlikely]]
        observer_->on_transition({kind, config_.self, term, peer, at.index, at.term, membership});
}

// The order matters: all news first, then decisions, then what is to be sent. A replica that was stopped for
// seconds so learns of a new leader before its own timers can speak.
void Replica::Impl::tick(Nanoseconds now) {
    const bool first = born_ == never;
    now_ = now;
    if (first) {
        born_ = now;
        // Who was there before may have acknowledged a heartbeat a moment ago, and with it a lease.
        if (storage_ && !storage_->recovered().fresh && !planted_bugs.forget_lease)
            leader_heard_ = now;
        reset_election_timer();
        if (config_.initial_leader == config_.self)
            election_deadline_ = now;
        else if (config_.initial_leader != nobody)
            reset_election_timer(20 * config_.timing.election_timeout_max); // the chosen one may be started last
    } else if (now - last_tick_ > config_.timing.election_timeout_min / 2) {
        ++counters_.pauses;
        next_look_ = never;
        excuse_pause();
    }
    last_tick_ = now;
    if (role_ == Role::leader && now < next_look_ && !storage_) {
        lead_quickly();
        return;
    }

    if (recovering_) {
        recover_some();
        if (recovering_)
            return;
    }
    meet_peers();
    poll_completions(Link::log);
    poll_completions(Link::board);
    read_board();
    if (storage_)
        check_storage();
    look_at_cell();
    observe_terms();
    follow_owner();
    if (role_ != Role::leader && role_ != Role::candidate)
        scan_log();
    accept_handover();
    run_election();
    if (role_ == Role::leader)
        lead();
    if (storage_)
        store_progress();
    apply_committed();
    write_rows();
}

Nanoseconds Replica::Impl::next_deadline() const {
    const Timing& t = config_.timing;
    if (last_tick_ == never)
        return Nanoseconds::min();
    if (role_ == Role::leader) {
        // Followers never wait for the leader's look at its board, except while links are being made, and when what
        // they have on disk is told there.
        const bool settled = std::all_of(peers_.begin(), peers_.end(), [&](const Peer& peer) {
            return !peer.listed || peer.sending || peer.lagging || !is_alive(peer);
        });
        const bool awaits_disks = storage_ && commit_ != end_;
        if (settled && applied_ == commit_ && !awaits_disks && handing_to_ == nobody)
            return std::min({last_tick_ + t.heartbeat / 2, next_heartbeat_, push_commit_at_});
    }
    const Nanoseconds poll = last_tick_ < hurries_until_ ? t.follower_poll / 16 : t.follower_poll;
    return last_tick_ + std::min(poll, t.heartbeat);
}

PeerStatus Replica::Impl::status_of(ReplicaId id) const {
    PeerStatus status;
    const Peer* peer = find(id);
    if (!peer)
        return status;
    status.incarnation = peer->incarnation;
    status.alive = now_ - peer->last_heard < config_.timing.election_timeout_max;
    status.board_up = peer->board.up();
    status.replaced = peer->incarnation != 0 && membership_.find(id) && !peer->listed;
    status.suspect = peer->row.suspect;
    status.refused_ring = peer->refused_ring;
    status.cannot_lead = peer->row.cannot_lead;
    status.left_us_behind = peer->row.left_behind && peer->row.role == Role::leader && peer->row.term >= term_;
    status.learner = peer->listed && !peer->counts_old && !peer->counts_new;
    status.applied = peer->row.applied_index;
    status.last_heard = peer->last_heard;
    if (role_ == Role::leader) {
        status.log_up = peer->log.up();
        status.lagging = peer->lagging;
        if (peer->acked >= end_.position)
            status.acked = end_.index;
        else if (peer->acked >= commit_.position) {
            Cursor at = commit_;
            for (Cursor next = at; next.position <= peer->acked; next = ring_.read_known(at).after)
                at = next;
            status.acked = at.index;
        } else
            status.acked = std::max(peer->row.commit_index, peer->row.applied_index);
    }
    return status;
}

Statistics Replica::Impl::statistics() const {
    return {counters_, fabric_.stats(), commit_latency_, election_};
}

tl::expected<std::unique_ptr<Replica>, Error> Replica::create(const Config& config, Fabric& fabric,
                                                              Rendezvous& rendezvous, Listener& listener,
                                                              Storage* storage,
                                                              const std::optional<SnapshotPoint>& state) {
    if (auto ok = check(config); !ok)
        return tl::make_unexpected(ok.error());
    const MemoryLayout need = memory_layout(config.ring_bytes);
    if (fabric.region(Region::log).size() < need.log_bytes ||
        fabric.region(Region::board).size() < need.board_bytes ||
        fabric.region(Region::outbox).size() < need.outbox_bytes)
        return tl::make_unexpected(Error{"the fabric's memory is smaller than memory_layout() asks for"});
    if (storage && storage->failure())
        return tl::make_unexpected(*storage->failure());
    const std::uint64_t stored_ring = storage ? storage->recovered().state.ring_bytes : 0;
    if (stored_ring != 0 && stored_ring != config.ring_bytes)
        return tl::make_unexpected(Error{
            fmt::format("the stored log is that of a ring of {} bytes, but ring_bytes is {}: use the former, or "
                        "begin with an empty folder and let the group take this replica in anew",
                        stored_ring, config.ring_bytes)});
    if (storage && state && state->position < storage->recovered().base.position)
        return tl::make_unexpected(
            Error{fmt::format("the state is that of index {}, but the stored log begins behind index {}",
                              state->index.value(), storage->recovered().base.index.value())});
    return std::unique_ptr<Replica>(
        new Replica(std::make_unique<Impl>(config, fabric, rendezvous, listener, storage, state)));
}

Replica::Replica(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Replica::~Replica() = default;

void Replica::tick(Nanoseconds now) {
    impl_->tick(now);
}
tl::expected<std::span<std::byte>, ProposeError> Replica::reserve(std::size_t bytes) {
    return impl_->reserve(bytes);
}
tl::expected<Index, ProposeError> Replica::propose_reserved() {
    return impl_->propose_reserved();
}
tl::expected<Index, ProposeError> Replica::propose(Bytes body) {
    return impl_->propose(body);
}
void Replica::flush(Nanoseconds now) {
    impl_->flush(now);
}
tl::expected<void, TransferError> Replica::transfer_leadership(ReplicaId to) {
    return impl_->transfer_leadership(to);
}
tl::expected<void, ChangeError> Replica::change_membership(std::span<const Member> members) {
    return impl_->change_membership(members);
}
bool Replica::cancel_change() {
    return impl_->cancel_change();
}
SnapshotPoint Replica::snapshot_point() const {
    return impl_->snapshot_point();
}
tl::expected<void, Error> Replica::install_snapshot(const SnapshotPoint& point) {
    return impl_->install_snapshot(point);
}
void Replica::snapshot_saved(const SnapshotPoint& point) {
    impl_->snapshot_saved(point);
}
void Replica::prefer(ReplicaId leader) {
    impl_->prefer(leader);
}
const Membership& Replica::membership() const {
    return impl_->membership();
}
Statistics Replica::statistics() const {
    return impl_->statistics();
}
const std::optional<Error>& Replica::failure() const {
    return impl_->failure();
}
void Replica::observe(TransitionObserver* observer) {
    impl_->observe(observer);
}
void Replica::set_slow_follower_grace(Nanoseconds grace) {
    impl_->set_slow_follower_grace(grace);
}
void Replica::abstain() {
    impl_->abstain();
}
Nanoseconds Replica::next_deadline() const {
    return impl_->next_deadline();
}
Role Replica::role() const {
    return impl_->role();
}
Term Replica::term() const {
    return impl_->term();
}
ReplicaId Replica::leader() const {
    return impl_->leader();
}
Index Replica::last_index() const {
    return impl_->last_index();
}
Index Replica::commit_index() const {
    return impl_->commit_index();
}
Index Replica::applied_index() const {
    return impl_->applied_index();
}
Index Replica::term_start() const {
    return impl_->term_start();
}
Nanoseconds Replica::lease_deadline() const {
    return impl_->lease_deadline();
}
PeerStatus Replica::peer(ReplicaId id) const {
    return impl_->status_of(id);
}
Counters Replica::counters() const {
    return impl_->counters();
}
std::uint64_t Replica::incarnation() const {
    return impl_->incarnation();
}

} // namespace rdma_paxos
