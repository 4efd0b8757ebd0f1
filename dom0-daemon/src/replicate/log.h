// SPDX-License-Identifier: Apache-2.0
//
// What a pump needs of the consensus library: one seam, so that tests can play any leader they like.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace rdma_paxos {
class Replica;
}

namespace tripod::replicate {

using Nanoseconds = std::chrono::nanoseconds;

class Log {
  public:
    virtual ~Log() = default;

    enum class Proposed {
        yes,
        full,       // not now; try after the log moved on
        not_leader, // and so not at all for the time being
    };
    // Appends one entry; it is sent soon after.
    virtual Proposed propose(std::span<const std::byte> entry) = 0;
    // The same without a copy: the place for an entry of so many bytes, to be filled and proposed before anything
    // else is asked of the log. Empty: not now.
    virtual std::span<std::byte> reserve(std::size_t bytes) = 0;
    virtual Proposed propose_reserved() = 0;
    // This replica leads, and has applied everything that was committed under earlier leaders.
    virtual bool leading() const = 0;
    // Nobody else can lead before this moment of the local monotonic clock.
    virtual Nanoseconds lease_deadline() const = 0;
};

std::unique_ptr<Log> make_log(rdma_paxos::Replica& replica);

} // namespace tripod::replicate
