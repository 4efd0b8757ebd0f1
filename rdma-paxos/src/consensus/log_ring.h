// SPDX-License-Identifier: Apache-2.0
//
// The log as bytes: entries in a ring, each chained to its predecessor by a checksum.
//
// Positions are logical: they count bytes since the group's birth, and `position % size` is the place in the ring.
// All replicas hold an entry at the same position, so a range of the leader's ring is sent as it stands.
// See docs/consensus-formats.md, "Log region".
#pragma once

#include "consensus/invariant.h"
#include "fabric/prefetch.h"
#include "rdma_paxos/snapshot.h"

#include <cstring>
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
        0; ///< XXH3-64 of 16 bytes: XXH3-64 of all that follows up to the body's end, and the predecessor's check
    std::uint32_t length = 0; ///< of the body
    EntryKind kind = EntryKind::user;
    std::uint64_t term = 0;
    std::uint64_t index = 0;
    std::uint64_t commit = 0; ///< commit index of the leader when it wrote the entry
};
static_assert(sizeof(EntryHeader) == 40);

/// Bodies are followed by zero to seven bytes that nobody looks at.
constexpr std::uint64_t padded(std::uint64_t length) {
    return (length + 7) & ~std::uint64_t{7};
}

/// A place between two entries, and what is known of the entry before it.
struct Cursor {
    std::uint64_t position = 0;
    std::uint64_t check = 0;
    Index index;
    Term term;

    Cursor() = default;
    Cursor(std::uint64_t position_, std::uint64_t check_, Index index_, Term term_)
        : position(position_), check(check_), index(index_), term(term_) {}

    // Copied word by word, see below: what is copied has often just been computed.
    Cursor(const Cursor& other) : Cursor(other.position, other.check, other.index, other.term) {}
    Cursor& operator=(const Cursor& other) {
        position = other.position;
        check = other.check;
        index = other.index;
        term = other.term;
        return *this;
    }
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
    /// The memory's size is a power of two: a place in it costs no division.
    explicit LogRing(std::span<std::byte> memory);

    /// The largest body that a ring of that size takes, from whomever it comes: how large one's own proposals may
    /// be is another matter, and may differ between members.
    static constexpr std::size_t max_body(std::size_t ring_bytes) { return ring_bytes / 4 - 64; }

    std::uint64_t size() const { return mask_ + 1; }

    /// The entry behind `before`, if a whole and valid one stands there. Bytes may be changing meanwhile: a torn or
    /// stale entry is "none".
    std::optional<Entry> read(const Cursor& before) const;

    /// The same for an entry that read() or append() has seen before: its checksum is not computed again.
    [[gnu::always_inline]] Entry read_known(const Cursor& before) const;

    /// How far the end moves if a body of this length is appended at `position` (a filler may be needed).
    std::uint64_t room_for(std::uint64_t position, std::size_t length) const;

    /// Where the body of the entry behind `before` would lie. The caller has made sure that room_for() bytes are
    /// free.
    std::span<std::byte> body_place(const Cursor& before, std::size_t length) const {
        return {at(entry_place(before.position, length)) + sizeof(EntryHeader), length};
    }

    /// Makes an entry behind `before` of what lies at body_place(); returns the place behind it.
    Cursor seal(const Cursor& before, Term term, Index commit, EntryKind kind, std::size_t length);

    /// The same with a body that lies elsewhere.
    Cursor append(const Cursor& before, Term term, Index commit, EntryKind kind, Bytes body);

    /// The longest valid log from `from` on.
    Cursor scan(Cursor from) const;

    /// The first contiguous piece of [from, to), at most `limit` bytes.
    std::span<std::byte> piece(std::uint64_t from, std::uint64_t to, std::uint64_t limit) const;

    std::uint64_t offset_of(std::uint64_t position) const { return position & mask_; }

  private:
    std::uint64_t skip_unusable_end(std::uint64_t position) const;
    std::byte* at(std::uint64_t position) const { return memory_ + offset_of(position); }
    std::uint64_t entry_place(std::uint64_t position, std::size_t length) const;
    EntryHeader header_at(std::uint64_t position) const;
    std::uint64_t to_end(std::uint64_t position) const { return size() - offset_of(position); }
    std::uint64_t write_filler(const Cursor& before, Term term, Index commit);
    std::uint64_t write(std::uint64_t position, std::uint64_t predecessor, const EntryHeader& header,
                        std::uint64_t hashed_body);
    static std::uint64_t check_of(const std::byte* entry, std::uint64_t hashed_body, std::uint64_t predecessor);

    std::byte* memory_;
    std::uint64_t mask_;
    std::size_t max_body_;
};

// What follows is inline, and handles headers word by word: the commit path reads what it has just written, and a
// processor forwards a store to a load at once only if the load takes no more than that store wrote.

// Less than a header is left before the ring's end: everybody skips it, no filler can stand there.
inline std::uint64_t LogRing::skip_unusable_end(std::uint64_t position) const {
    return to_end(position) < sizeof(EntryHeader) ? position + to_end(position) : position;
}

// Where an entry goes that is not to run over the ring's end.
inline std::uint64_t LogRing::entry_place(std::uint64_t position, std::size_t length) const {
    position = skip_unusable_end(position);
    return to_end(position) < sizeof(EntryHeader) + padded(length) ? position + to_end(position) : position;
}

inline EntryHeader LogRing::header_at(std::uint64_t position) const {
    const auto word = [start = at(position)](std::size_t number) {
        std::uint64_t value;
        std::memcpy(&value, start + 8 * number, sizeof value);
        return value;
    };
    const std::uint64_t length_and_kind = word(1);
    return {.check = word(0),
            .length = static_cast<std::uint32_t>(length_and_kind),
            .kind = static_cast<EntryKind>(length_and_kind >> 32),
            .term = word(2),
            .index = word(3),
            .commit = word(4)};
}

inline Entry LogRing::read_known(const Cursor& before) const {
    std::uint64_t position = skip_unusable_end(before.position);
    EntryHeader header = header_at(position);
    if (header.kind == EntryKind::filler) [[unlikely]] {
        position += to_end(position);
        header = header_at(position);
    }
    invariant(header.index == before.index.value() + 1 && header.length <= max_body_, "a known entry has changed");
    return {header,
            {at(position) + sizeof(EntryHeader), header.length},
            {position + sizeof(EntryHeader) + padded(header.length), header.check, Index(header.index),
             Term(header.term)}};
}

inline std::uint64_t LogRing::write(std::uint64_t position, std::uint64_t predecessor, const EntryHeader& header,
                                    std::uint64_t hashed_body) {
    std::byte* const start = at(position);
    const auto put = [start](std::size_t word, std::uint64_t value) {
        std::memcpy(start + 8 * word, &value, sizeof value);
    };
    put(1, header.length | std::uint64_t{static_cast<std::uint32_t>(header.kind)} << 32);
    put(2, header.term);
    put(3, header.index);
    put(4, header.commit);
    const std::uint64_t check = check_of(start, hashed_body, predecessor);
    put(0, check);
    return check;
}

inline Cursor LogRing::seal(const Cursor& before, Term term, Index commit, EntryKind kind, std::size_t length) {
    const std::uint64_t position = entry_place(before.position, length);
    const bool filled = position != skip_unusable_end(before.position);
    const std::uint64_t predecessor = filled ? write_filler(before, term, commit) : before.check;
    const EntryHeader header{.length = static_cast<std::uint32_t>(length),
                             .kind = kind,
                             .term = term.value(),
                             .index = before.index.value() + 1,
                             .commit = commit.value()};
    const std::uint64_t check = write(position, predecessor, header, length);
    const std::uint64_t end = position + sizeof(EntryHeader) + padded(length);
    prefetch_for_write(at(end), end - position, to_end(end));
    return {end, check, Index(header.index), term};
}

inline Cursor LogRing::append(const Cursor& before, Term term, Index commit, EntryKind kind, Bytes body) {
    invariant(body.size() <= max_body_, "entry too large");
    if (!body.empty())
        std::memcpy(body_place(before, body.size()).data(), body.data(), body.size());
    return seal(before, term, commit, kind, body.size());
}

} // namespace rdma_paxos
