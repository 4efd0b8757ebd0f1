// SPDX-License-Identifier: Apache-2.0
#include "consensus/log_ring.h"

#include "consensus/invariant.h"
#include "consensus/planted_bugs.h"

#include <algorithm>
#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rdma_paxos {

static_assert(std::endian::native == std::endian::little, "memory images are little-endian");

namespace {

constexpr std::uint64_t header_size = sizeof(EntryHeader);
constexpr std::uint64_t check_size = sizeof(EntryHeader::check);

std::uint64_t padded(std::uint64_t length) {
    return (length + 7) & ~std::uint64_t{7};
}

// The hash is computed over the ring itself, not over a copy: what was hashed is what will be delivered. The header
// was copied before; if it changed in between, the hash does not fit and the entry counts as torn.
std::uint64_t check_of(const std::byte* entry, std::uint64_t hashed_body, std::uint64_t predecessor) {
    return XXH3_64bits_withSeed(entry + check_size, header_size - check_size + hashed_body, predecessor);
}

} // namespace

std::uint64_t genesis_check(const GroupId& group) {
    return XXH3_64bits(group.data(), group.size());
}

LogRing::LogRing(std::span<std::byte> memory, std::size_t max_body) : memory_(memory), max_body_(max_body) {
    invariant(memory.size() % 8 == 0 && memory.size() >= 4 * (padded(max_body) + header_size), "ring too small");
}

// Less than a header is left before the ring's end: everybody skips it, no filler can stand there.
std::uint64_t LogRing::skip_unusable_end(std::uint64_t position) const {
    return to_end(position) < header_size ? position + to_end(position) : position;
}

EntryHeader LogRing::header_at(std::uint64_t position) const {
    EntryHeader header;
    std::memcpy(&header, memory_.data() + offset_of(position), sizeof header);
    return header;
}

std::optional<Entry> LogRing::read(const Cursor& at) const {
    Cursor before = at;
    before.position = skip_unusable_end(before.position);
    EntryHeader header = header_at(before.position);
    if (header.kind == EntryKind::filler) {
        const bool plausible = header.index == at.index.value() && header.term >= at.term.value() &&
                               header.length == to_end(before.position) - header_size;
        // A filler's body is never looked at, so only its header is hashed.
        if (!plausible || header.check != check_of(memory_.data() + offset_of(before.position), 0, before.check))
            return std::nullopt;
        before.check = header.check;
        before.term = Term(header.term);
        before.position += to_end(before.position);
        header = header_at(before.position);
    }
    const bool plausible = (header.kind == EntryKind::user || header.kind == EntryKind::no_op ||
                            header.kind == EntryKind::membership) &&
                           header.index == at.index.value() + 1 && header.term >= before.term.value() &&
                           header.commit < header.index && header.length <= max_body_ &&
                           header_size + padded(header.length) <= to_end(before.position);
    if (!plausible)
        return std::nullopt;
    const std::byte* start = memory_.data() + offset_of(before.position);
    if (header.check != check_of(start, header.length, before.check) &&
        !(planted_bugs.trust_canary &&
          (header.length == 0 || start[header_size + header.length - 1] != std::byte{})))
        return std::nullopt;
    return Entry{header,
                 {start + header_size, header.length},
                 {before.position + header_size + padded(header.length), header.check, Index(header.index),
                  Term(header.term)}};
}

Entry LogRing::read_known(const Cursor& at) const {
    std::uint64_t position = skip_unusable_end(at.position);
    EntryHeader header = header_at(position);
    if (header.kind == EntryKind::filler) {
        position += to_end(position);
        header = header_at(position);
    }
    invariant(header.index == at.index.value() + 1 && header.length <= max_body_, "a known entry has changed");
    return Entry{
        header,
        {memory_.data() + offset_of(position) + header_size, header.length},
        {position + header_size + padded(header.length), header.check, Index(header.index), Term(header.term)}};
}

std::uint64_t LogRing::room_for(std::uint64_t position, std::size_t length) const {
    const std::uint64_t needed = header_size + padded(length);
    const std::uint64_t start = skip_unusable_end(position);
    const std::uint64_t filled = to_end(start) < needed ? to_end(start) : 0;
    return (start - position) + filled + needed;
}

Cursor LogRing::append(const Cursor& at, Term term, Index commit, EntryKind kind, Bytes body) {
    invariant(body.size() <= max_body_, "entry too large");
    const std::uint64_t needed = header_size + padded(body.size());
    std::uint64_t position = skip_unusable_end(at.position);
    std::uint64_t predecessor = at.check;

    if (to_end(position) < needed) {
        EntryHeader filler{.length = static_cast<std::uint32_t>(to_end(position) - header_size),
                           .kind = EntryKind::filler,
                           .term = term.value(),
                           .index = at.index.value(),
                           .commit = commit.value()};
        std::byte* start = memory_.data() + offset_of(position);
        std::memcpy(start, &filler, sizeof filler);
        predecessor = check_of(start, 0, predecessor);
        std::memcpy(start, &predecessor, check_size);
        position += to_end(position);
    }

    EntryHeader header{.length = static_cast<std::uint32_t>(body.size()),
                       .kind = kind,
                       .term = term.value(),
                       .index = at.index.value() + 1,
                       .commit = commit.value()};
    std::byte* start = memory_.data() + offset_of(position);
    std::memcpy(start, &header, sizeof header);
    if (!body.empty())
        std::memcpy(start + header_size, body.data(), body.size());
    header.check = check_of(start, body.size(), predecessor);
    std::memcpy(start, &header.check, check_size);
    return {position + needed, header.check, Index(header.index), term};
}

Cursor LogRing::scan(Cursor at) const {
    while (const auto entry = read(at))
        at = entry->after;
    return at;
}

std::span<std::byte> LogRing::piece(std::uint64_t from, std::uint64_t to, std::uint64_t limit) const {
    const std::uint64_t length = std::min(std::min(to - from, limit), to_end(from));
    return {memory_.data() + offset_of(from), length};
}

} // namespace rdma_paxos
