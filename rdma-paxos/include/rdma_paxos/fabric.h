// SPDX-License-Identifier: Apache-2.0
//
// A fabric lets one replica WRITE and READ the memory of its peers, without help from the peer's program.
//
// One Fabric object belongs to one replica of one group, and is used by one thread. It owns the memory that peers
// may reach, and two links to each peer:
//   Link::board  the peer's board (small, always up): who is alive, who votes for whom.
//   Link::log    the peer's log: the only way to change its entries, so resetting it fences whoever held it.
// A link is usable in both directions once both ends called connect() with the endpoint that the other end gave
// after its last reset().
#pragma once

#include "rdma_paxos/types.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace rdma_paxos {

enum class Link : std::uint8_t { board = 0, log = 1 };
inline constexpr std::size_t link_count = 2;

/// Memory of this replica. `board` and `log` are what peers reach over the link of that name; `outbox` is only
/// ever a local source of board writes.
enum class Region : std::uint8_t { board = 0, log = 1, outbox = 2 };
inline constexpr std::size_t region_count = 3;

/// What the other end must know to connect a link. Opaque, and only meant for the fabric kind that made it.
struct Endpoint {
    static constexpr std::size_t capacity = 72;
    std::uint8_t size = 0;
    std::array<std::byte, capacity> bytes{};
};

/// Chosen by the caller of post_*, handed back with the completion.
using WorkId = std::uint64_t;

struct Completion {
    WorkId id = 0;
    ReplicaId peer;
    Link link = Link::board;
    bool ok = false; ///< false: the link is down from now on; later work on it fails too. reset() it. May come
                     ///< without any work: the device changed its address, or was lost. `id` means nothing then.
};

struct FabricStats {
    std::uint64_t work_requests = 0;
    std::uint64_t doorbells = 0;
    std::uint64_t bytes = 0;
    std::uint64_t resets = 0;
    std::uint64_t connects = 0;
    std::uint64_t replaced = 0; ///< queue pairs given up because they would not be reset any more
};

/// Sizes of the regions that a replica with `ring_bytes` of log needs. See memory_layout() in config.h.
struct MemoryLayout {
    std::size_t board_bytes = 0;
    std::size_t log_bytes = 0;
    std::size_t outbox_bytes = 0;
};

class Fabric {
  public:
    virtual ~Fabric() = default;

    /// The local memory of a region, zeroed at birth, 4096-aligned, at the same address for the fabric's life.
    virtual std::span<std::byte> region(Region region) = 0;

    /// Prepares the links with a peer that was not known at birth: any id from 1 to max_replica_id but one's own.
    /// Idempotent. False: no more room or memory, now.
    [[nodiscard]] virtual bool add_peer(ReplicaId peer) = 0;

    /// Cuts both links with the peer and gives them up; its unread completions go too. When it returns, no byte
    /// from it arrives any more. Every other call that names it fails until it is added again.
    virtual void remove_peer(ReplicaId peer) = 0;

    /// Cuts the link. When it returns true, no byte from `peer` arrives through this link any more, not even one
    /// that was on its way, and no completion of earlier work on it will be reported. False: not yet, call again.
    [[nodiscard]] virtual bool reset(ReplicaId peer, Link link) = 0;

    /// What `peer` needs for its connect(). Valid until the next reset() of this link.
    virtual Endpoint endpoint(ReplicaId peer, Link link) = 0;

    /// Opens the link, which must have been reset since it was last connected. False: not now (the endpoint is
    /// malformed, or the device refuses); reset() it before trying again.
    [[nodiscard]] virtual bool connect(ReplicaId peer, Link link, const Endpoint& remote) = 0;

    /// Starts copying `local` (inside a region of this fabric) to `remote_offset` in the peer's region of this
    /// link. Works on one link complete in order. `local` must stay unchanged until the completion, except in the
    /// outbox, where a later change may make the peer see a mixture. False: the link is down or its queue is full.
    ///
    /// With `more`, this is the first piece of a larger write: it goes out with the post_write() that must follow
    /// on this link next (unless the link is reset), by the same doorbell, and has no completion of its own; that
    /// of the last piece stands for all. Two pieces at most.
    [[nodiscard]] virtual bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local,
                                          WorkId id, bool more = false) = 0;

    /// Starts copying from the peer's region of this link into `local` (inside a region of this fabric).
    [[nodiscard]] virtual bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset,
                                         std::span<std::byte> local, WorkId id) = 0;

    /// Takes finished works of a link kind, over all peers; returns how many were stored in `out`.
    virtual std::size_t poll(Link link, std::span<Completion> out) = 0;

    /// File descriptors that become readable when a completion of a log link arrives after arm(); those of board
    /// links may wait for the next tick. May be empty (then only polling sees completions). Incoming one-sided
    /// writes never wake anybody: sleep no longer than Replica::next_deadline().
    virtual std::vector<int> event_fds() const { return {}; }

    /// Asks for one wake-up through event_fds(). Call it, then tick the replica once more, then sleep: a completion
    /// that slipped in between is seen by that tick.
    virtual void arm() {}

    virtual FabricStats stats() const = 0;

    /// Kind, device and address, and on which pages the log lies. For people and logs.
    virtual std::string describe() const = 0;

    /// Why no link of this fabric works now: its device is lost (for good), or its port down (perhaps not).
    virtual std::optional<Error> failure() const { return std::nullopt; }
};

} // namespace rdma_paxos
