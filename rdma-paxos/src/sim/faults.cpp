// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace rdma_paxos::sim {

namespace {

/// Of nodes there may ever be, and one. Cuts are made for all of them: some may only come when a cut is there.
constexpr std::uint8_t ids = 16;

} // namespace

Faults::Faults(const Scenario& scenario, const std::optional<std::vector<std::size_t>>& only, SimNetwork& network,
               Nodes& nodes, Operator& operations, const Budget& budget, Hooks hooks)
    : scenario_(scenario), network_(network), nodes_(nodes), operator_(operations), budget_(budget),
      hooks_(std::move(hooks)), handler_(network.add_handler(*this)), touched_(scenario.faults.size()), cuts_(ids),
      calm_(network.options()) {
    for (std::size_t number = 0; number < scenario.faults.size(); ++number)
        if (!only || std::find(only->begin(), only->end(), number) != only->end())
            network_.at(scenario.faults[number].at, handler_, begin, number);
}

void Faults::cut(ReplicaId from, ReplicaId to, int change) {
    std::int8_t& count = cuts_[from.value()][to.value()];
    count = static_cast<std::int8_t>(count + change);
    network_.set_path(from, to, count == 0);
}

void Faults::cut_off(ReplicaId id, int outgoing, int incoming) {
    for (std::uint8_t other = 1; other < ids; ++other)
        if (other != id.value()) {
            if (outgoing != 0)
                cut(id, ReplicaId(other), outgoing);
            if (incoming != 0)
                cut(ReplicaId(other), id, incoming);
        }
}

void Faults::each_pair(std::uint64_t half, int change) {
    for (std::uint8_t from = 1; from < ids; ++from)
        for (std::uint8_t to = 1; to < ids; ++to)
            if (((half >> from ^ half >> to) & 1u) != 0)
                cut(ReplicaId(from), ReplicaId(to), change);
}

void Faults::for_each_link(Node& at, Random& random, double share, void (SimFabric::*what)(ReplicaId, Link)) {
    if (SimFabric* fabric = at.fabric())
        for (const auto& other : nodes_)
            for (const Link link : {Link::board, Link::log})
                if (other->id() != at.id() && random.chance(share))
                    (fabric->*what)(other->id(), link);
}

Node& Faults::leader_or(ReplicaId id) {
    for (const auto& each : nodes_)
        if (each->leads())
            return *each;
    return node(id);
}

void Faults::on_event(std::uint32_t what, std::uint64_t value) {
    if (healed_)
        return;
    Unseating& u = unseating_;
    switch (what) {
    case begin:
        start(value);
        break;
    case end:
        stop(value);
        break;
    case go_on:
        node(ReplicaId(static_cast<std::uint8_t>(value))).go_on_program();
        break;
    case silence:
        if (value == u.turn && u.cut_off != nobody && !u.silent) {
            u.silent = true;
            cut_off(u.cut_off, 0, +1);
        }
        break;
    case release:
        if (value == u.turn && u.cut_off != nobody) {
            trace(fmt::format("  {} is let in again", u.cut_off.value()));
            cut_off(u.cut_off, -1, u.silent ? -1 : 0);
            u.cut_off = nobody;
        }
        break;
    case restart:
        come_back(node(ReplicaId(static_cast<std::uint8_t>(value))));
        break;
    case cut_power:
        power_cut(value);
        break;
    case rot_now:
        rot_while_others_are_gone(value);
        break;
    default:
        break;
    }
}

void Faults::start(std::size_t number) {
    const Fault& fault = scenario_.faults[number];
    Random random(fault.seed);
    Node& at = node(fault.node);
    // Most faults hurt most where the leader is.
    Node& chosen = random.chance(0.5) ? leader_or(fault.node) : at;
    const ReplicaId other = fault.other == chosen.id() ? fault.node : fault.other;
    std::uint64_t& touched = touched_[number];
    touched = std::uint64_t{1} << chosen.id().value() | std::uint64_t{other.value()} << 56;
    trace(fmt::format("fault {}: {} (here: {} and {})", number, to_string(fault), chosen.id().value(),
                      other.value()));
    // Rot does most harm to one of few who have the newest entries: cut off somebody who will lack them.
    if (fault.kind == FaultKind::rot && chosen.disk() && budget_.can_lose(chosen) && random.chance(0.6)) {
        cut_off(other, +1, +1);
        network_.at(network_.now() + random.any_scale(300ms, 6s), handler_, rot_now, number);
    } else if (!begin_fault(fault, touched, chosen, other, random))
        return;
    ++happened_[static_cast<std::size_t>(fault.kind)];
    ++active_[static_cast<std::size_t>(fault.kind)];
    network_.at(network_.now() + fault.length, handler_, end, number);
    if (fault.kind == FaultKind::unseat_leaders)
        on_leader(leader_or(fault.node));
}

// False: it cannot happen now.
bool Faults::begin_fault(const Fault& fault, std::uint64_t& touched, Node& chosen, ReplicaId other,
                         Random& random) {
    switch (fault.kind) {
    case FaultKind::stop_program:
        chosen.stop_program();
        break;
    case FaultKind::stop_host:
        chosen.stop_host();
        break;
    case FaultKind::stop_majority: {
        const std::size_t first = random.draw(nodes_.size());
        for (std::size_t i = 0; i <= nodes_.size() / 2; ++i) {
            Node& each = *nodes_[(first + i) % nodes_.size()];
            each.stop_program();
            network_.at(network_.now() + fault.length + random.any_scale(1ms, 3s), handler_, go_on,
                        each.id().value());
        }
        break;
    }
    case FaultKind::cut_one_way:
        random.chance(0.5) ? cut(chosen.id(), other, +1) : cut(other, chosen.id(), +1);
        break;
    case FaultKind::cut_pair:
        cut(chosen.id(), other, +1);
        cut(other, chosen.id(), +1);
        break;
    case FaultKind::isolate:
        cut_off(chosen.id(), +1, +1);
        break;
    case FaultKind::partition:
        touched = random.next();
        each_pair(touched, +1);
        break;
    case FaultKind::slow_path:
        network_.set_delay(chosen.id(), other, random.any_scale(10ms, 700ms));
        break;
    case FaultKind::fail_links:
        for_each_link(chosen, random, 0.6, &SimFabric::fail_link);
        break;
    case FaultKind::tear_writes:
        for_each_link(chosen, random, 0.6, &SimFabric::tear_next_write);
        break;
    case FaultKind::refuse_connects:
        if (chosen.fabric())
            chosen.fabric()->refuse_connects(true);
        break;
    case FaultKind::refuse_resets:
        if (chosen.fabric())
            chosen.fabric()->refuse_resets(true);
        break;
    case FaultKind::lose_messages:
        network_.options().lost_message_probability = 0.8;
        break;
    case FaultKind::lose_acknowledgements:
        network_.options().lost_acknowledgement_probability = 0.05;
        break;
    case FaultKind::refuse_entries:
        chosen.refuse_entries(true);
        break;
    case FaultKind::change_clock:
        chosen.change_clock(1 + (2 * random.unit() - 1) * 0.9e-6 * scenario_.config.timing.clock_drift_ppm);
        break;
    case FaultKind::load:
        hooks_.load(10 + random.draw(60));
        break;
    case FaultKind::unseat_leaders:
        unseating_.random = random;
        break;
    case FaultKind::crash:
    case FaultKind::lose_disk:
    case FaultKind::rot:
    case FaultKind::lose_write:
        return lose(fault, chosen, random);
    case FaultKind::crash_majority:
    case FaultKind::crash_all: {
        const std::size_t count = fault.kind == FaultKind::crash_all ? nodes_.size() : nodes_.size() / 2 + 1;
        const std::size_t first = random.draw(nodes_.size());
        touched = 0;
        for (std::size_t i = 0; i < count; ++i)
            touched |= std::uint64_t{1} << nodes_[(first + i) % nodes_.size()]->id().value();
        // It hurts most while the disks are busy with what was just proposed.
        const bool busy = random.chance(0.6);
        for (const auto& each : nodes_)
            if (busy && each->disk())
                each->disk()->set_slowness(10 + random.draw(300));
        if (busy)
            hooks_.load(5 + random.draw(20));
        network_.at(network_.now() + random.any_scale(1us, busy ? 500ms : 1us), handler_, cut_power,
                    static_cast<std::uint64_t>(&fault - scenario_.faults.data()));
        break;
    }
    case FaultKind::fail_disk:
        if (!chosen.disk())
            return false;
        chosen.disk()->fail_writes(true);
        break;
    case FaultKind::slow_disk:
        if (!chosen.disk())
            return false;
        chosen.disk()->set_slowness(2 + random.draw(200));
        break;
    case FaultKind::change_members:
        operator_.change_members(random, 2s + fault.length);
        break;
    case FaultKind::transfer:
        operator_.transfer(random, fault.length);
        break;
    case FaultKind::abstain:
        // Who will not lead must keep the log that others may need: it cannot give them its state instead.
        if (chosen.abstains() || !budget_.can_lose(chosen) || scenario_.save_probability > 0)
            return false;
        chosen.abstain();
        break;
    case FaultKind::count:
        return false;
    }
    return true;
}

// Faults that take away for good what a replica had, and must not hit a majority.
bool Faults::lose(const Fault& fault, Node& victim, Random& random) {
    if (!victim.replica())
        return false;
    const bool remembers = fault.kind == FaultKind::crash && victim.disk();
    if (!remembers && !budget_.can_lose(victim))
        return false;
    if (fault.kind == FaultKind::lose_write) {
        victim.disk()->lose_next_write();
        victim.set_damaged();
        return true;
    }
    if (fault.kind == FaultKind::rot) {
        if (!victim.disk()->rot(random))
            return false;
        victim.set_damaged();
        if (random.chance(0.7))
            crash(victim, fault.length / 4); // nobody looks at it before
        return true;
    }
    // Some never come back; others with nothing, to be taken in again perhaps.
    crash(victim, remembers ? fault.length / 2 : random.chance(0.5) ? fault.length : Nanoseconds::max());
    if (fault.kind == FaultKind::lose_disk)
        victim.lose_disk();
    return true;
}

void Faults::stop(std::size_t number) {
    const Fault& fault = scenario_.faults[number];
    const std::uint64_t touched = touched_[number];
    const ReplicaId other(static_cast<std::uint8_t>(touched >> 56));
    Node* chosen = nullptr;
    for (const auto& each : nodes_)
        if ((touched >> each->id().value() & 1u) != 0)
            chosen = each.get();
    const bool last = --active_[static_cast<std::size_t>(fault.kind)] <= 0;
    if (fault.kind != FaultKind::partition && !chosen)
        return;
    Random random(fault.seed);
    (void)random.next(); // as drawn in start()
    switch (fault.kind) {
    case FaultKind::stop_program:
        chosen->go_on_program();
        break;
    case FaultKind::stop_host:
        chosen->go_on_host();
        break;
    case FaultKind::cut_one_way:
        random.chance(0.5) ? cut(chosen->id(), other, -1) : cut(other, chosen->id(), -1);
        break;
    case FaultKind::cut_pair:
        cut(chosen->id(), other, -1);
        cut(other, chosen->id(), -1);
        break;
    case FaultKind::isolate:
        cut_off(chosen->id(), -1, -1);
        break;
    case FaultKind::partition:
        each_pair(touched, -1);
        break;
    case FaultKind::slow_path:
        network_.set_delay(chosen->id(), other, 0ns);
        break;
    case FaultKind::refuse_connects:
        if (chosen->fabric())
            chosen->fabric()->refuse_connects(false);
        break;
    case FaultKind::refuse_resets:
        if (chosen->fabric())
            chosen->fabric()->refuse_resets(false);
        break;
    case FaultKind::lose_messages:
        if (last)
            network_.options().lost_message_probability = calm_.lost_message_probability;
        break;
    case FaultKind::lose_acknowledgements:
        if (last)
            network_.options().lost_acknowledgement_probability = calm_.lost_acknowledgement_probability;
        break;
    case FaultKind::refuse_entries:
        chosen->refuse_entries(false);
        break;
    case FaultKind::fail_disk:
        if (chosen->disk()) {
            chosen->disk()->fail_writes(false);
            if (chosen->replica() && chosen->disk()->failed())
                crash(*chosen, 10ms); // there is space again: its replica is started anew
        }
        break;
    case FaultKind::slow_disk:
        if (chosen->disk())
            chosen->disk()->set_slowness(1);
        break;
    case FaultKind::unseat_leaders:
        unseating_.target = nobody;
        if (unseating_.cut_off != nobody)
            on_event(release, unseating_.turn);
        break;
    default:
        break;
    }
}

void Faults::power_cut(std::size_t number) {
    const Fault& fault = scenario_.faults[number];
    Random random(~fault.seed);
    for (const auto& each : nodes_) {
        if (each->disk())
            each->disk()->set_slowness(1);
        if (each->disk() && (touched_[number] >> each->id().value() & 1u) != 0)
            crash(*each, fault.length / 4 + random.any_scale(1ms, 3s));
    }
}

void Faults::rot_while_others_are_gone(std::size_t number) {
    const Fault& fault = scenario_.faults[number];
    Random random(~fault.seed);
    const std::uint64_t touched = touched_[number];
    const ReplicaId stale(static_cast<std::uint8_t>(touched >> 56));
    cut_off(stale, -1, -1);
    for (const auto& each : nodes_) {
        const bool victim = (touched >> each->id().value() & 1u) != 0;
        if (each->id() == stale || !each->disk() || !each->replica())
            continue;
        if (victim && budget_.can_lose(*each) && each->disk()->rot(random))
            each->set_damaged();
        crash(*each, victim ? random.any_scale(1ms, 500ms) : random.between(2s, 8s));
    }
}

void Faults::crash(Node& victim, Nanoseconds restart_after) {
    if (!victim.replica())
        return;
    trace(fmt::format("  {} crashes", victim.id().value()));
    victim.crash(budget_.can_lose(victim) && restart_after % 4ns == 0ns);
    if (restart_after != Nanoseconds::max())
        network_.at(network_.now() + restart_after, handler_, restart, victim.id().value());
}

void Faults::come_back(Node& node) {
    if (!node.crashed())
        return;
    ++restarts_;
    if (node.disk())
        node.restart(operator_.acquaintances());
    else
        node.join(operator_.acquaintances());
}

// Whoever is elected is cut off after a few of its writes have landed; the one before it is let in again. Logs that
// differ in their last entries meet again and again: the case of figure 8 of the Raft paper, and its relatives.
void Faults::on_leader(Node& leader) {
    Unseating& u = unseating_;
    if (!leader.leads() || active_[static_cast<std::size_t>(FaultKind::unseat_leaders)] == 0 || healed_ ||
        u.random.chance(0.2))
        return;
    u.target = leader.id();
    u.writes_left = u.random.draw(6);
    if (u.writes_left == 0)
        unseat_now();
}

void Faults::on_landed(ReplicaId, ReplicaId from, Link link, bool whole) {
    Unseating& u = unseating_;
    if (from != u.target || link != Link::log || u.target == nobody)
        return;
    if (u.writes_left > 0 && whole)
        --u.writes_left;
    if (u.writes_left == 0)
        unseat_now();
}

void Faults::unseat_now() {
    Unseating& u = unseating_;
    if (u.cut_off != nobody)
        on_event(release, u.turn);
    ++u.turn;
    u.cut_off = std::exchange(u.target, nobody);
    u.silent = false;
    trace(fmt::format("  {} is cut off", u.cut_off.value()));
    // What has landed is still acknowledged, for a while.
    cut_off(u.cut_off, +1, 0);
    network_.at(network_.now() + u.random.any_scale(1us, 3s), handler_, silence, u.turn);
    network_.at(network_.now() + u.random.any_scale(500ms, 8s), handler_, release, u.turn);
}

void Faults::heal() {
    healed_ = true;
    unseating_ = {};
    network_.heal_paths();
    network_.options() = calm_;
    for (const auto& from : nodes_) {
        for (const auto& to : nodes_)
            network_.set_delay(from->id(), to->id(), 0ns);
        from->heal();
    }
    for (const auto& each : nodes_) {
        if (!each->disk())
            continue;
        each->disk()->fail_writes(false);
        each->disk()->set_slowness(1);
        if (each->replica() && each->disk()->failed())
            each->crash();
        if (each->crashed())
            come_back(*each);
    }
}

} // namespace rdma_paxos::sim
