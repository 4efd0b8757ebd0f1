// SPDX-License-Identifier: Apache-2.0
//
// The bare fabric, to measure against: what a single WRITE takes, and a fan-out until a majority has it. No
// protocol can be faster. See docs/consensus.md, "What the benchmark measures".
#pragma once

#include "../bench/member.h"
#include "consensus/handshake.h"
#include "consensus/log_ring.h"

#include <vector>

namespace rdma_paxos::bench {

/// One end of the probes' own links, beside those of the measured group.
class Probe {
  public:
    /// `rendezvous` belongs to a group of the probes' own. Both outlive the probe.
    Probe(Fabric& fabric, Rendezvous& rendezvous, ReplicaId self, const std::vector<ReplicaId>& others);

    /// Connects the links; to be called until ready(), and further by the side that is written to.
    void keep_links();
    bool ready() const;

    /// Waits until a WRITE to each peer is done; whatever was posted before, on whatever link, then mostly is, too.
    void flush_queues();

    /// One signalled WRITE to the first peer, post to completion. None if the link broke.
    std::optional<Nanoseconds> single_write(std::size_t bytes);

    /// One WRITE to each peer until a majority (self included) has it; then waits, unmeasured, for the others.
    std::optional<Nanoseconds> fan_out(std::size_t bytes);

    /// The same with an entry of a log: each time from and to the next place of a ring, which the peers
    /// read_along(). The entry is written, and its checksum computed, before the clock starts.
    std::optional<Nanoseconds> log_fan_out(Bytes body);

    /// As a follower of a log does: reads what log_fan_out() of a peer has brought here since.
    void read_along();

    static MemoryLayout layout() {
        return {.board_bytes = ring_offset + ring_bytes, .log_bytes = 4096, .outbox_bytes = ring_offset};
    }

  private:
    struct Peer {
        ReplicaId id;
        Handshake link;
        LinkOffer offer;
    };
    bool post(const Peer& peer, Bytes source, std::size_t offset);
    std::optional<Nanoseconds> fan_out_from(Bytes source, std::size_t offset);
    bool wait_for(std::size_t completions);

    Fabric& fabric_;
    Rendezvous& rendezvous_;
    ReplicaId self_;
    std::vector<Peer> peers_;
    Nanoseconds next_greeting_{};
    std::size_t outstanding_ = 0;
    static constexpr std::size_t ring_bytes = 32u << 20;
    static constexpr std::size_t ring_offset = 1u << 20; ///< before it lies what the others use
    LogRing ring_; ///< as a replica's: the writer's own entries, or those that it receives
    Cursor end_;
};

} // namespace rdma_paxos::bench
