// SPDX-License-Identifier: Apache-2.0
#include "sim/history.h"

#include "checking/linearizability.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace rdma_paxos::sim {

History::Operation& History::call(std::uint32_t client, const Command& command, Nanoseconds now) {
    Operation& operation = operations_.emplace_back();
    operation.command = command;
    operation.command.id = operations_.size();
    operation.client = client;
    operation.invoked = now;
    return operation;
}

std::optional<std::string> History::applied(const Command& command, Index index, std::uint64_t result) {
    if (command.id > operations_.size())
        return fmt::format("an entry that nobody proposed is applied at index {}", index.value());
    Operation& operation = of(command.id);
    if (operation.index == Index()) {
        operation.index = index;
        operation.applied = result;
    } else if (operation.index != index)
        return fmt::format("command {} is applied at index {} and at {}", command.id, operation.index.value(),
                           index.value());
    else if (operation.applied != result)
        return fmt::format("the state machines differ at index {}", index.value());
    return std::nullopt;
}

void History::answer(std::uint64_t id, std::uint64_t result, Nanoseconds now) {
    of(id).result = result;
    of(id).returned = now;
}

std::optional<std::string> History::check() const {
    if (auto wrong = check_by_log())
        return wrong;
    for (std::uint8_t key = 0; key < register_count; ++key)
        if (auto wrong = check_by_answers(key))
            return wrong;
    return std::nullopt;
}

std::optional<std::string> History::check_by_answers(std::uint8_t key) const {
    std::vector<checking::Operation> history;
    for (const Operation& operation : operations_) {
        const Command& command = operation.command;
        const bool asked_in_vain = command.action == Action::read && operation.returned == open;
        if (command.key != key || command.action == Action::bulk || asked_in_vain)
            continue;
        const auto kind = command.action == Action::read    ? checking::OperationKind::read
                          : command.action == Action::write ? checking::OperationKind::write
                                                            : checking::OperationKind::compare_and_set;
        history.push_back({.client = operation.client,
                           .kind = kind,
                           .argument = command.argument,
                           .expected = command.expected,
                           .result = operation.result,
                           .invoked = operation.invoked,
                           .returned = operation.returned == open ? checking::never : operation.returned});
    }
    if (auto wrong = checking::check_register(history))
        return "not linearizable: " + *wrong;
    return std::nullopt;
}

std::optional<std::string> History::check_by_log() const {
    std::vector<const Operation*> order;
    order.reserve(operations_.size());
    for (const Operation& operation : operations_) {
        if (operation.index == Index() && operation.returned != open && !operation.by_lease)
            return fmt::format("command {} was answered, and is not in the log", operation.command.id);
        if (operation.index != Index() || (operation.by_lease && operation.returned != open))
            order.push_back(&operation);
    }
    std::sort(order.begin(), order.end(), [](const Operation* left, const Operation* right) {
        return std::tuple(left->index, left->by_lease, left->command.id) <
               std::tuple(right->index, right->by_lease, right->command.id);
    });
    Registers state;
    const Operation* latest_call = nullptr;
    for (const Operation* operation : order) {
        const std::uint64_t result = state.apply(operation->command);
        if (operation->returned != open && result != operation->result)
            return fmt::format("not linearizable: command {} ({}, index {}) was answered {}, the log says {}",
                               operation->command.id, operation->by_lease ? "read under a lease" : "in the log",
                               operation->index.value(), operation->result, result);
        if (latest_call && operation->returned < latest_call->invoked)
            return fmt::format("not linearizable: command {} had returned before command {} was called, which "
                               "comes before it in the log",
                               operation->command.id, latest_call->command.id);
        if (!latest_call || operation->invoked > latest_call->invoked)
            latest_call = operation;
    }
    return std::nullopt;
}

} // namespace rdma_paxos::sim
