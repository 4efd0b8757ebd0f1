// SPDX-License-Identifier: Apache-2.0
#include "consensus/log_ring.h"

#include "consensus/hash.h"
#include "consensus/planted_bugs.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace rdma_paxos {

static_assert(std::endian::native == std::endian::little, "memory images are little-endian");

namespace {

constexpr std::uint64_t header_size = sizeof(EntryHeader);
constexpr std::uint64_t check_size = sizeof(EntryHeader::check);

} // namespace

std::uint64_t genesis_check(const GroupId& group) {
    return hash64(group.data(), group.size());
}

// The hash is computed over the ring itself, not over a copy: what was hashed is what will be delivered. The header
// was copied before; if it changed in between, the hash does not fit and the entry counts as torn.
std::uint64_t LogRing::check_of(const std::byte* entry, std::uint64_t hashed_body, std::uint64_t predecessor) {
    const std::array link{hash64(entry + check_size, header_size - check_size + hashed_body), predecessor};
    return hash64(link.data(), sizeof link);
}

LogRing::LogRing(std::span<std::byte> memory)
    : memory_(memory.data()), mask_(memory.size() - 1), max_body_(max_body(memory.size())) {
    invariant(std::has_single_bit(memory.size()), "the ring's size is no power of two");
    invariant(memory.size() >= 4096, "ring too small");
}

std::optional<Entry> LogRing::read(const Cursor& known) const {
    Cursor before = known;
    before.position = skip_unusable_end(before.position);
    EntryHeader header = header_at(before.position);
    if (header.kind == EntryKind::filler) {
        const bool plausible = header.index == known.index.value() && header.term >= known.term.value() &&
                               header.length == to_end(before.position) - header_size;
        // A filler's body is never looked at, so only its header is hashed.
        if (!plausible || header.check != check_of(at(before.position), 0, before.check))
            return std::nullopt;
        before.check = header.check;
        before.term = Term(header.term);
        before.position += to_end(before.position);
        header = header_at(before.position);
    }
    const bool plausible = (header.kind == EntryKind::user || header.kind == EntryKind::no_op ||
                            header.kind == EntryKind::membership) &&
                           header.index == known.index.value() + 1 && header.term >= before.term.value() &&
                           header.commit < header.index && header.length <= max_body_ &&
                           header_size + padded(header.length) <= to_end(before.position);
    if (!plausible)
        return std::nullopt;
    const std::byte* start = at(before.position);
    if (header.check != check_of(start, header.length, before.check) &&
        !(planted_bugs.trust_canary &&
          (header.length == 0 || start[header_size + header.length - 1] != std::byte{})))
        return std::nullopt;
    return Entry{header,
                 {start + header_size, header.length},
                 {before.position + header_size + padded(header.length), header.check, Index(header.index),
                  Term(header.term)}};
}

std::uint64_t LogRing::room_for(std::uint64_t position, std::size_t length) const {
    const std::uint64_t needed = header_size + padded(length);
    const std::uint64_t start = skip_unusable_end(position);
    const std::uint64_t filled = to_end(start) < needed ? to_end(start) : 0;
    return (start - position) + filled + needed;
}

// Its check; the next entry stands at the ring's beginning.
std::uint64_t LogRing::write_filler(const Cursor& before, Term term, Index commit) {
    const std::uint64_t position = skip_unusable_end(before.position);
    return write(position, before.check,
                 {.length = static_cast<std::uint32_t>(to_end(position) - header_size),
                  .kind = EntryKind::filler,
                  .term = term.value(),
                  .index = before.index.value(),
                  .commit = commit.value()},
                 0);
}

Cursor LogRing::scan(Cursor from) const {
    while (const auto entry = read(from))
        from = entry->after;
    return from;
}

std::span<std::byte> LogRing::piece(std::uint64_t from, std::uint64_t to, std::uint64_t limit) const {
    const std::uint64_t length = std::min(std::min(to - from, limit), to_end(from));
    return {at(from), length};
}

} // namespace rdma_paxos
