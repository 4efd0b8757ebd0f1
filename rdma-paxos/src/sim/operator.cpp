// SPDX-License-Identifier: Apache-2.0
#include "sim/operator.h"

#include <algorithm>
#include <fmt/format.h>

namespace rdma_paxos::sim {

namespace {

constexpr std::size_t most_nodes = 14;
constexpr Nanoseconds between_questions = 300ms;

std::string to_string(const std::vector<Member>& members) {
    std::string text;
    for (const Member& member : members)
        text += fmt::format("{}{}{}", text.empty() ? "" : ",", member.id.value(), member.witness ? "w" : "");
    return "{" + text + "}";
}

} // namespace

Operator::Operator(const Scenario& scenario, SimNetwork& network, Nodes& nodes, const Budget& budget,
                   std::function<std::unique_ptr<Node>(ReplicaId)> make_node,
                   std::function<void(const std::string&)> trace)
    : scenario_(scenario), network_(network), nodes_(nodes), budget_(budget), make_node_(std::move(make_node)),
      trace_(std::move(trace)), handler_(network.add_handler(*this)), random_(Random::stream(scenario.seed, 3)) {}

std::vector<ReplicaId> Operator::acquaintances() const {
    std::vector<ReplicaId> ids;
    for (const auto& each : nodes_)
        ids.push_back(each->id());
    return ids;
}

void Operator::change_members(Random random, Nanoseconds patience) {
    tasks_.push_back({.random = random, .give_up = network_.now() + patience, .target = {}});
    continue_change(tasks_.size() - 1);
}

void Operator::transfer(Random random, Nanoseconds patience) {
    tasks_.push_back({.random = random, .give_up = network_.now() + patience, .target = {}});
    continue_transfer(tasks_.size() - 1);
}

void Operator::on_event(std::uint32_t what, std::uint64_t value) {
    switch (what) {
    case members:
        continue_change(value);
        break;
    case hand_over:
        continue_transfer(value);
        break;
    case pack:
        pack_state(ReplicaId(static_cast<std::uint8_t>(value >> 8)), ReplicaId(static_cast<std::uint8_t>(value)));
        break;
    case deliver: {
        const Shipment& shipment = shipments_[value];
        Node& to = node(shipment.to);
        if (to.replica() && network_.reachable(shipment.from, shipment.to)) {
            to.install(shipment.state);
            ++shipped_;
        }
        break;
    }
    default:
        break;
    }
}

void Operator::continue_transfer(std::size_t number) {
    Task& task = tasks_[number];
    Node* leader = budget_.leader();
    if (leader) {
        const MemberSet& voters = leader->replica()->membership().voters;
        const Member& to = *(voters.begin() + task.random.draw(voters.size()));
        if (to.id != leader->id() && leader->hand_over(to.id)) {
            trace(fmt::format("  {} is to hand over to {}", leader->id().value(), to.id.value()));
            return;
        }
    }
    if (network_.now() < task.give_up)
        network_.at(network_.now() + between_questions, handler_, hand_over, number);
}

void Operator::continue_change(std::size_t number) {
    Task& task = tasks_[number];
    if (Node* leader = budget_.leader()) {
        Replica& replica = *leader->replica();
        const Membership present = replica.membership();
        const bool settled = present.phase == Membership::Phase::stable && present.index <= replica.commit_index();
        if (network_.now() >= task.give_up) {
            if (task.asked && task.random.chance(0.5) && replica.cancel_change())
                trace(fmt::format("  {} takes the change back", leader->id().value()));
            return;
        }
        if (settled && task.target.empty() && !choose_target(task, present))
            return;
        if (settled) {
            const auto is_voter = [&](const Member& member) {
                const Member* voter = present.voters.find(member.id);
                return voter && voter->witness == member.witness && budget_.is_intact(*voter);
            };
            if (task.asked && present.voters.size() == task.target.size() &&
                std::all_of(task.target.begin(), task.target.end(), is_voter)) {
                ++changes_;
                retire(present, task.random);
                return;
            }
            // Who lost its memory a moment ago is meant as it is now, though the leader may know it as it was.
            MemberSet wanted;
            for (Member member : task.target) {
                member.incarnation = node(member.id).incarnation();
                (void)wanted.add(member);
            }
            if (!budget_.suffices(wanted, nullptr))
                return; // somebody was lost meanwhile
            if (replica.change_membership(std::vector<Member>(wanted.begin(), wanted.end()))) {
                task.asked = true;
                trace(fmt::format("  {} is to change the members to {}", leader->id().value(),
                                  to_string(task.target)));
            }
        }
    } else if (network_.now() >= task.give_up)
        return;
    network_.at(network_.now() + between_questions, handler_, members, number);
}

Node* Operator::somebody_new(Random& random, bool witness) {
    // Who lost its memory comes back under its name; or a new machine takes its place.
    for (const auto& each : nodes_)
        if (each->crashed() && each->incarnation() == 0 && random.chance(0.3)) {
            each->join(acquaintances(), witness);
            return each.get();
        }
    if (nodes_.size() >= most_nodes)
        return nullptr;
    nodes_.push_back(make_node_(ReplicaId(static_cast<std::uint8_t>(nodes_.size() + 1))));
    nodes_.back()->join(acquaintances(), witness);
    return nodes_.back().get();
}

bool Operator::choose_target(Task& task, const Membership& present) {
    Random& random = task.random;
    std::vector<Member> target;
    for (const Member& member : present.voters)
        target.push_back({.id = member.id, .witness = member.witness});
    const auto lost = std::find_if(target.begin(), target.end(), [&](const Member& member) {
        return !budget_.is_intact(*present.voters.find(member.id));
    });
    const auto remove_one = [&] {
        const auto dead = std::find_if(target.begin(), target.end(), [&](const Member& member) {
            return !budget_.is_intact(*present.voters.find(member.id));
        });
        target.erase(dead != target.end() && random.chance(0.8)
                         ? dead
                         : target.begin() + static_cast<std::ptrdiff_t>(random.draw(target.size())));
    };
    const auto add_one = [&](bool witness) {
        Node* fresh = somebody_new(random, witness);
        if (!fresh || std::any_of(target.begin(), target.end(),
                                  [&](const Member& member) { return member.id == fresh->id(); }))
            return false;
        target.push_back({.id = fresh->id(), .witness = witness});
        return true;
    };
    const std::uint64_t choice = target.size() == 1 && random.chance(0.8)     ? 1 // one survives nothing
                                 : lost != target.end() && random.chance(0.6) ? 0
                                                                              : random.draw(4);
    bool possible = true;
    if (choice == 1 && target.size() <= 5) {
        possible = add_one(false) && add_one(random.chance(0.3));
    } else if (choice == 2 && target.size() >= 3) {
        remove_one();
        remove_one();
    } else {
        remove_one();
        possible = add_one(choice == 3 && random.chance(0.5));
    }
    if (!possible || std::all_of(target.begin(), target.end(), [](const Member& member) { return member.witness; }))
        return false;
    task.target = std::move(target);
    return true;
}

// Who was dismissed is switched off, or left running.
void Operator::retire(const Membership& present, Random& random) {
    for (const auto& each : nodes_)
        if (each->replica() && !present.find(each->id()) && random.chance(0.5)) {
            trace(fmt::format("  {} is switched off", each->id().value()));
            each->crash();
            each->lose_disk();
        }
}

void Operator::ship_state(Node& leader, ReplicaId to) {
    network_.at(network_.now() + random_.any_scale(1ms, 500ms), handler_, pack,
                std::uint64_t{leader.id().value()} << 8 | to.value());
}

void Operator::pack_state(ReplicaId from, ReplicaId to) {
    Node& leader = node(from);
    if (!leader.replica() || leader.replica()->role() != Role::leader || !leader.replica()->peer(to).lagging)
        return;
    if (leader.runs()) {
        trace(fmt::format("  {} sends its state of index {} to {}", from.value(),
                          leader.replica()->applied_index().value(), to.value()));
        shipments_.push_back({from, to, leader.state()});
        network_.at(network_.now() + random_.any_scale(1ms, 1s), handler_, deliver, shipments_.size() - 1);
    }
    // It may be lost, or come too late for what the log still holds.
    network_.at(network_.now() + 2s, handler_, pack, std::uint64_t{from.value()} << 8 | to.value());
}

} // namespace rdma_paxos::sim
