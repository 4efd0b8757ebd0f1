// SPDX-License-Identifier: Apache-2.0
#include "sim/node.h"

#include "consensus/board.h"
#include "consensus/invariant.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace rdma_paxos::sim {

Node::Node(ReplicaId id, const Scenario& scenario, SimNetwork& network, Checkers& checkers, NodeObserver& observer)
    : id_(id), scenario_(scenario), network_(network), checkers_(checkers), observer_(observer),
      handler_(network.add_handler(*this)), random_(Random::stream(scenario.seed, 1000u + id.value())) {
    local_base_ = random_.between(0s, 10s);
    const auto& witnesses = scenario.config.witnesses;
    witness_ = std::find(witnesses.begin(), witnesses.end(), id) != witnesses.end();
    // A little less than replicas are told to expect of one clock.
    rate_ = 1 + (2 * random_.unit() - 1) * 0.9e-6 * scenario.config.timing.clock_drift_ppm;
    if (scenario.stutter_max > 0s && random_.chance(0.8))
        stutter_ = random_.any_scale(20ms, scenario.stutter_max);
}

void Node::change_clock(double rate) {
    const Nanoseconds now = network_.now();
    local_base_ = local(now);
    true_base_ = now;
    rate_ = rate;
    next_tick_ = Nanoseconds::max();
    if (runs())
        schedule(std::max(now + 1us, true_time(replica_->next_deadline())));
}

void Node::found() {
    make_replica(true, scenario_.config.members);
}

void Node::join(const std::vector<ReplicaId>& acquaintances, std::optional<bool> witness) {
    witness_ = witness.value_or(witness_);
    make_replica(false, acquaintances);
}

void Node::restart(const std::vector<ReplicaId>& acquaintances) {
    make_replica(false, acquaintances);
}

void Node::make_replica(bool founding, const std::vector<ReplicaId>& acquaintances) {
    Config config = scenario_.config;
    config.self = id_;
    config.founding = founding;
    if (!founding) {
        config.members = acquaintances;
        config.initial_leader = nobody;
        config.witnesses.clear(); // of others, the membership will tell
    }
    std::erase(config.witnesses, id_);
    if (witness_)
        config.witnesses.push_back(id_);
    config.seed = random_.next();
    fabric_ = network_.make_fabric(id_, memory_layout(config.ring_bytes));
    rendezvous_ = network_.make_rendezvous(id_);
    ring_.emplace(fabric_->region(Region::log).subspan(ring_offset, config.ring_bytes));
    ++life_;
    save_due_ = false;

    Cursor from = checkers_.genesis();
    if (scenario_.durable) {
        if (!disk_)
            disk_ = std::make_unique<SimDisk>(network_, id_, scenario_.disk, [this] { poke(50us); });
        storage_ = observer_.on_storage(*this, disk_->open());
        const SnapshotPoint& base = storage_->recovered().base;
        if (base.index != Index())
            from = cursor_of(base);
        if (saved_ && saved_->point.index > from.index)
            from = cursor_of(saved_->point);
    }
    registers_ = saved_ ? saved_->registers : Registers{};
    applied_ = saved_ ? saved_->applied : Index();
    checkers_.on_start(id_, from, saved_ ? saved_->point.index : from.index);
    if (observer_.traces())
        observer_.trace(fmt::format("{} starts{}{}{}", id_.value(),
                                    founding                                   ? ""
                                    : storage_ && !storage_->recovered().fresh ? " from its disk"
                                                                               : " as somebody new",
                                    storage_ && storage_->recovered().suspect ? ", whose log is suspect" : "",
                                    stutter_ > 0s ? fmt::format(", and stutters ({} ms)", stutter_ / 1ms) : ""));
    auto replica = Replica::create(config, *fabric_, *rendezvous_, *this, storage_.get(),
                                   saved_ ? std::optional(saved_->point) : std::nullopt);
    if (!replica)
        checkers_.fail(network_.now(), fmt::format("{} cannot start: {}", id_.value(), replica.error().what));
    else
        replica_ = std::move(*replica);
    incarnation_ = replica_ ? replica_->incarnation() : 0;
    if (founding)
        founding_incarnation_ = incarnation_;
    if (abstains_ && replica_)
        replica_->abstain();
    if (replica_)
        observer_.on_start(*this, founding);
    resume();
}

void Node::crash(bool harsh) {
    observer_.on_crash(*this);
    if (replica_)
        last_belief_ = replica_->membership();
    last_position_ = disk_ ? position() : 0;
    replica_.reset();
    storage_.reset();
    if (disk_ && disk_->crash(harsh))
        damaged_ = true;
    rendezvous_.reset();
    fabric_.reset();
    ring_.reset();
    next_tick_ = Nanoseconds::max();
    if (!disk_)
        incarnation_ = 0;
    checkers_.on_crash(id_);
}

void Node::lose_disk() {
    disk_.reset();
    saved_.reset();
    last_position_ = 0;
    incarnation_ = 0;
    damaged_ = false;
}

void Node::abstain() {
    abstains_ = true;
    if (replica_)
        replica_->abstain();
}

void Node::install(const Saved& state) {
    if (!runs() || replica_->failure() || state.point.index <= replica_->applied_index())
        return;
    if (disk_)
        saved_ = state; // first of all: the log will not reach further back
    if (auto installed = replica_->install_snapshot(state.point); !installed) {
        if (observer_.traces())
            observer_.trace(fmt::format("{} does not {}", id_.value(), installed.error().what));
        return;
    }
    if (observer_.traces())
        observer_.trace(fmt::format("{} installs the state of index {}", id_.value(), state.point.index.value()));
    registers_ = state.registers;
    applied_ = state.applied;
    checkers_.on_install(id_, state.point, network_.now());
    look();
}

void Node::schedule(Nanoseconds when) {
    when = std::max(when, no_tick_before_);
    if (when >= next_tick_)
        return;
    next_tick_ = when;
    network_.at(when, handler_, 0, ++tick_ticket_);
}

void Node::poke(Nanoseconds within) {
    if (!runs())
        return;
    // Now and then the scheduler of the host lets a program wait.
    if (random_.chance(0.01))
        within *= 20;
    schedule(network_.now() + random_.between(0ns, within));
}

void Node::on_event(std::uint32_t, std::uint64_t ticket) {
    if (ticket == tick_ticket_ && next_tick_ != Nanoseconds::max() && runs())
        tick();
}

void Node::tick() {
    next_tick_ = Nanoseconds::max();
    ++ticks_;
    if (stutter_ > 0s)
        no_tick_before_ = network_.now() + random_.between(stutter_ / 2, stutter_);
    replica_->tick(local(network_.now()));
    if (std::exchange(save_due_, false)) {
        saved_ = state();
        replica_->snapshot_saved(saved_->point);
    }
    look();
    schedule(std::max(network_.now() + 1us, true_time(replica_->next_deadline())));
}

void Node::look() {
    checkers_.on_step(*replica_, id_, *ring_, true_time(replica_->lease_deadline()), network_.now());
}

bool Node::propose(const Command& command, std::size_t length) {
    std::array<std::byte, 4096> body;
    encode(command, std::span(body).first(length));
    return replica_->propose(Bytes(body).first(length)).has_value();
}

void Node::flush() {
    replica_->flush(local(network_.now()));
    look();
}

bool Node::hand_over(ReplicaId to) {
    if (!replica_->transfer_leadership(to))
        return false;
    if (replica_->lease_deadline() > local(network_.now()))
        checkers_.fail(network_.now(), fmt::format("{} hands over and keeps its lease", id_.value()));
    checkers_.on_lease_given_up(id_, network_.now());
    poke(50us);
    return true;
}

bool Node::has_lease() const {
    return replica_->role() == Role::leader && local(network_.now()) < replica_->lease_deadline() &&
           replica_->applied_index() >= replica_->term_start();
}

void Node::resume() {
    next_tick_ = Nanoseconds::max();
    if (runs())
        schedule(network_.now() + random_.between(0ns, 2ms));
}

void Node::stop_program() {
    ++program_stops_;
}

void Node::go_on_program() {
    if (program_stops_ > 0 && --program_stops_ == 0)
        resume();
}

void Node::stop_host() {
    ++host_stops_;
    network_.set_host_stopped(id_, true);
}

void Node::go_on_host() {
    if (host_stops_ == 0 || --host_stops_ > 0)
        return;
    network_.set_host_stopped(id_, false);
    resume();
}

void Node::heal() {
    program_stops_ = host_stops_ = refuses_ = 0;
    network_.set_host_stopped(id_, false);
    if (fabric_) {
        fabric_->refuse_connects(false);
        fabric_->refuse_resets(false);
    }
    resume();
}

bool Node::on_commit(Index index, Term term, Bytes body) {
    if (refuses_ > 0)
        return false;
    checkers_.on_apply(id_, index, term, body, network_.now());
    const auto command = decode(body);
    if (!command) {
        checkers_.fail(network_.now(), fmt::format("{} applies bytes at index {} that nobody proposed", id_.value(),
                                                   index.value()));
        return true;
    }
    applied_ = index;
    save_due_ |= disk_ && random_.chance(scenario_.save_probability);
    observer_.on_command(*this, *command, index, registers_.apply(*command));
    return true;
}

void Node::on_membership(const Membership& membership) {
    if (observer_.traces())
        observer_.trace(fmt::format("{}: members {}", id_.value(), to_string(membership)));
}

void Node::on_failure(const Error& error) {
    if (observer_.traces())
        observer_.trace(fmt::format("{}: {}", id_.value(), error.what));
}

void Node::on_role(Role role, Term term) {
    if (observer_.traces())
        observer_.trace(fmt::format("{}: {} in term {}, log to {}, commit {}", id_.value(), to_string(role),
                                    term.value(), replica_->last_index().value(),
                                    replica_->commit_index().value()));
    if ((role == Role::candidate || role == Role::leader) && (witness_ || abstains_))
        checkers_.fail(network_.now(), fmt::format("{} is {}, but {}", id_.value(), to_string(role),
                                                   witness_ ? "a witness" : "abstains"));
    if (role != Role::leader)
        return;
    checkers_.on_leader(*replica_, id_, *ring_, network_.now());
    observer_.on_leader(*this);
}

} // namespace rdma_paxos::sim
