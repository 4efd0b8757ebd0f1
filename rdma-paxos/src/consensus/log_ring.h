// SPDX-License-Identifier: Apache-2.0
//
// The log as bytes: entries in a ring, each chained to its predecessor by a checksum.
//
// Positions are logical: they count bytes since the group's birth, and `position % size` is the place in the ring.
// All replicas hold an entry at the same position, so a range of the leader's ring is sent as it stands.
// See docs/consensus-formats.md, "Log region".
#pragma once

#include "rdma_paxos/snapshot.h"

#include <optional>

namespace rdma_paxos {

enum class EntryKind : std::uint32_t {
    user = 0x75736572,       ///< a proposal
    no_op = 0x6e6f6f70,      ///< a new leader's first entry; not shown to the listener
    membership = 0x6d656d62, ///< who is in the group from here on; not shown to the listener
    filler = 0x66696c6c,     ///< fills the ring's end; has no index of its own
};

/// As it lies in memory, little-endian. The body follows; the next entry begins at a multiple of 8.
struct EntryHeader {
    std::uint64_t check =
        0; ///< XXH3-64 of all that follows up to the body's end, seeded with the predecessor's check
    std::uint32_t length = 0; ///< of the body
    EntryKind kind = EntryKind::user;
    std::uint64_t term = 0;
    std::uint64_t index = 0;
    std::uint64_t commit = 0; ///< commit index of the leader when it wrote the entry
};
static_assert(sizeof(EntryHeader) == 40);

/// A place between two entries, and what is known of the entry before it.
struct Cursor {
    std::uint64_t position = 0;
    std::uint64_t check = 0;
    Index index;
    Term term;
    friend bool operator==(const Cursor&, const Cursor&) = default;
};

/// Where the log goes on behind a state.
inline Cursor cursor_of(const SnapshotPoint& point) {
    return {point.position, point.check, point.index, point.term};
}

struct Entry {
    EntryHeader header;
    Bytes body;   ///< in the ring
    Cursor after; ///< the place behind the entry
};

/// The check that the first entry of a group is chained to.
std::uint64_t genesis_check(const GroupId& group);

class LogRing {
  public:
    LogRing(std::span<std::byte> memory, std::size_t max_body);

    std::uint64_t size() const { return memory_.size(); }

    /// The entry behind `at`, if a whole and valid one stands there. Bytes may be changing meanwhile: a torn or
    /// stale entry is "none".
    std::optional<Entry> read(const Cursor& at) const;

    /// The same for an entry that read() or append() has seen before: its checksum is not computed again.
    Entry read_known(const Cursor& at) const;

    /// How far the end moves if a body of this length is appended at `position` (a filler may be needed).
    std::uint64_t room_for(std::uint64_t position, std::size_t length) const;

    /// Writes an entry behind `at`. The caller has made sure that room_for() bytes are free.
    Cursor append(const Cursor& at, Term term, Index commit, EntryKind kind, Bytes body);

    /// The longest valid log from `at` on.
    Cursor scan(Cursor at) const;

    /// The first contiguous piece of [from, to), at most `limit` bytes.
    std::span<std::byte> piece(std::uint64_t from, std::uint64_t to, std::uint64_t limit) const;

    std::uint64_t offset_of(std::uint64_t position) const { return position % memory_.size(); }

  private:
    std::uint64_t skip_unusable_end(std::uint64_t position) const;
    EntryHeader header_at(std::uint64_t position) const;
    std::uint64_t to_end(std::uint64_t position) const { return memory_.size() - offset_of(position); }

    std::span<std::byte> memory_;
    std::size_t max_body_;
};

} // namespace rdma_paxos
