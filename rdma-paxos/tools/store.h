// SPDX-License-Identifier: Apache-2.0
//
// The state machine of rdma-paxos-node: numbered registers of 64 bits, all 0 at first.
#pragma once

#include "checking/linearizability.h"

#include <map>
#include <optional>
#include <vector>

namespace rdma_paxos::tools {

using checking::OperationKind;
using checking::Value;

/// The body of a log entry.
struct Command {
    OperationKind kind = OperationKind::read;
    std::uint32_t key = 0;
    Value argument = 0;
    Value expected = 0;
    std::uint64_t origin = 0;   ///< incarnation of the replica that proposed it
    std::uint64_t sequence = 0; ///< among its proposals
};

std::vector<std::byte> encode(const Command& command);
std::optional<Command> decode_command(Bytes body);

class Store {
  public:
    /// Applies an entry; what the register held before.
    Value apply(Index index, Bytes body, const Command& command);
    /// An entry that is no command: counted, without effect.
    void skip(Index index, Bytes body);

    Value get(std::uint32_t key) const;
    /// Of all entries applied, in their order: equal at replicas that applied the same.
    std::uint64_t digest() const { return digest_; }
    std::uint64_t entries() const { return entries_; }

    std::vector<std::byte> save() const;
    /// False, and nothing changed, if the bytes are not what save() made.
    [[nodiscard]] bool restore(Bytes bytes);

  private:
    std::map<std::uint32_t, Value> values_;
    std::uint64_t digest_ = 0;
    std::uint64_t entries_ = 0;
};

} // namespace rdma_paxos::tools
