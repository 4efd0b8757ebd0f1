// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include <algorithm>

namespace rdma_paxos::sim {

Workload::Workload(const Scenario& scenario, SimNetwork& network, Nodes& nodes, History& history)
    : scenario_(scenario), network_(network), nodes_(nodes), history_(history),
      handler_(network.add_handler(*this)), random_(Random::stream(scenario.seed, 2)),
      clients_(scenario.load.clients) {
    for (std::uint32_t client = 0; client < clients_.size(); ++client)
        think(client, scenario.load.think_max);
}

void Workload::think(std::uint32_t client, Nanoseconds at_most) {
    Client& it = clients_[client];
    it.waits_for = 0;
    network_.at(network_.now() + random_.between(100us, at_most), handler_, client, ++it.turn);
}

void Workload::on_event(std::uint32_t client, std::uint64_t turn) {
    if (turn != clients_[client].turn)
        return;
    if (clients_[client].waits_for != 0)
        think(client, scenario_.load.think_max); // it gives up; what became of its command it will never know
    else
        call(client);
}

// The clients know no leader: whoever believes to be one is asked.
Node* Workload::somebody_who_leads() {
    Node* chosen = nullptr;
    std::uint64_t count = 0;
    for (const auto& node : nodes_)
        if (node->leads() && random_.draw(++count) == 0)
            chosen = node.get();
    return chosen;
}

Command Workload::draw_command() {
    Command command;
    command.key = static_cast<std::uint8_t>(random_.draw(register_count));
    switch (random_.draw(4)) {
    case 0:
    case 1:
        command.action = Action::read;
        break;
    case 2:
        command.action = Action::write;
        command.argument = ++next_value_;
        break;
    default:
        command.action = Action::cas;
        command.expected = next_value_ - random_.draw(std::min<std::uint64_t>(next_value_, 4) + 1);
        command.argument = ++next_value_;
        break;
    }
    return command;
}

std::size_t Workload::draw_length() {
    return smallest_command +
           (random_.chance(0.1) ? random_.draw(scenario_.load.bulk_max - smallest_command) : random_.draw(80));
}

void Workload::call(std::uint32_t client) {
    Node* node = somebody_who_leads();
    if (!node)
        return think(client, 200ms);
    Client& it = clients_[client];
    const Command command = draw_command();
    const Nanoseconds now = network_.now();
    History::Operation& operation = history_.call(client, command, now);
    if (command.action == Action::read && random_.chance(scenario_.load.lease_reads)) {
        if (node->has_lease()) {
            operation.by_lease = true;
            operation.index = node->applied();
            history_.answer(operation.command.id, node->registers().value[command.key], now);
            ++answered_;
        }
        return think(client, scenario_.load.think_max);
    }
    if (!node->propose(operation.command, draw_length()))
        return think(client, 200ms);
    ++proposed_;
    it.waits_for = operation.command.id;
    it.at = node->id();
    it.life = node->life();
    network_.at(now + scenario_.load.timeout, handler_, client, ++it.turn);
    node->flush();
}

void Workload::burst(std::size_t count) {
    for (const auto& node : nodes_) {
        if (!node->leads())
            continue;
        for (std::size_t i = 0; i < count; ++i) {
            const Command bulk{.action = Action::bulk};
            const History::Operation& operation = history_.call(0, bulk, network_.now());
            const bool taken = node->propose(operation.command, draw_length());
            proposed_ += taken;
            if (!taken)
                break;
        }
        node->flush();
    }
}

void Workload::on_command(const Node& node, const Command& command, std::uint64_t result) {
    const std::uint32_t client = history_.of(command.id).client;
    Client& it = clients_[client];
    if (it.waits_for != command.id || it.at != node.id() || it.life != node.life())
        return;
    history_.answer(command.id, result, network_.now());
    ++answered_;
    think(client, scenario_.load.think_max);
}

} // namespace rdma_paxos::sim
