// SPDX-License-Identifier: Apache-2.0
//
// What the clients asked and were told, and when: the evidence for linearizability.
//
// It is judged twice. By the clients' evidence alone (checking/linearizability.h). And by the log, which says in
// which order the commands took effect (a read under a lease says behind which entry it looked): that order is
// replayed, every answer must fit, and no operation that had returned may come behind one that was called later.
#pragma once

#include "sim/command.h"

#include <string>
#include <vector>

namespace rdma_paxos::sim {

class History {
  public:
    static constexpr Nanoseconds open = Nanoseconds::max();

    struct Operation {
        Command command;
        std::uint32_t client = 0;
        Nanoseconds invoked{};
        Nanoseconds returned = open; ///< open: the client was never told
        std::uint64_t result = 0;    ///< as the client was told
        Index index;                 ///< its place in the log; of a lease read, the entry it looked behind; 0: none
        std::uint64_t applied = 0;   ///< the result as the first replica computed it
        bool by_lease = false;       ///< read at the leader, not through the log
    };

    /// A call; the command's id is set.
    Operation& call(std::uint32_t client, const Command& command, Nanoseconds now);
    Operation& of(std::uint64_t id) { return operations_[id - 1]; }
    const std::vector<Operation>& operations() const { return operations_; }

    /// A replica applied it at `index`. What does not fit: the reason.
    std::optional<std::string> applied(const Command& command, Index index, std::uint64_t result);
    /// The client is told.
    void answer(std::uint64_t id, std::uint64_t result, Nanoseconds now);

    std::optional<std::string> check() const;

  private:
    std::optional<std::string> check_by_log() const;
    std::optional<std::string> check_by_answers(std::uint8_t key) const;

    std::vector<Operation> operations_;
};

} // namespace rdma_paxos::sim
