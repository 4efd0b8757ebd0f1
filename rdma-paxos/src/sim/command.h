// SPDX-License-Identifier: Apache-2.0
//
// What the clients of the simulation have agreed on: operations on a few registers, and bulk.
#pragma once

#include "rdma_paxos/types.h"

#include <optional>

namespace rdma_paxos::sim {

enum class Action : std::uint8_t { read, write, cas, bulk };

inline constexpr std::size_t register_count = 4;

struct Command {
    std::uint64_t id = 0; ///< from 1; no two commands share one
    Action action = Action::read;
    std::uint8_t key = 0;
    std::uint64_t argument = 0;
    std::uint64_t expected = 0; ///< of a cas
};

inline constexpr std::size_t smallest_command = 40;

/// Fills `body` (at least smallest_command bytes) with the command and bytes that depend on it alone.
void encode(const Command& command, std::span<std::byte> body);

/// None if any byte is not what encode() wrote.
std::optional<Command> decode(Bytes body);

/// The replicated state.
struct Registers {
    std::array<std::uint64_t, register_count> value{};
    /// What the client is told: of a read and a cas the value that was there. A cas was done if that was as
    /// expected.
    std::uint64_t apply(const Command& command);
};

} // namespace rdma_paxos::sim
