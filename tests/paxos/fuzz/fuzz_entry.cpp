// SPDX-License-Identifier: Apache-2.0
//
// A ring full of anything: entries of a peer that is broken or hostile, with checks that fit.
#include "consensus/log_ring.h"
#include "fuzz_input.h"

#include <array>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace rdma_paxos;

namespace {

constexpr std::size_t ring_bytes = 4096;
constexpr std::size_t max_body = LogRing::max_body(ring_bytes);

void check_entry(const Entry& entry, const Cursor& before, std::span<const std::byte> memory) {
    const std::byte* begin = memory.data();
    fuzz::must(entry.body.data() >= begin && entry.body.data() + entry.body.size() <= begin + memory.size(),
               "a body lies in the ring");
    fuzz::must(entry.body.size() <= max_body, "a body is not too large");
    fuzz::must(entry.after.position > before.position && entry.after.position - before.position <= 2 * ring_bytes,
               "an entry takes some room, and not too much");
    fuzz::must(entry.after.index == before.index.next() && entry.after.term >= before.term, "entries are in order");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    std::vector<std::byte> memory(ring_bytes);
    const LogRing ring(memory);
    Cursor at(input.take<std::uint16_t>() * 8ull, 42, Index(3), Term(2));
    const Cursor start = at;
    // Entries as the input wants them, each with the check that its place in the chain demands.
    while (!input.empty()) {
        EntryHeader header{.check = 0,
                           .length = input.take<std::uint16_t>(),
                           .kind = EntryKind::user,
                           .term = at.term.value() + input.take<std::int8_t>(),
                           .index = at.index.value() + 1,
                           .commit = input.take<std::uint8_t>()};
        const std::uint8_t how = input.take<std::uint8_t>();
        const std::uint64_t offset = ring.offset_of(at.position);
        if (offset + sizeof header > ring_bytes) {
            at.position += ring_bytes - offset;
            continue;
        }
        std::uint64_t hashed = std::min<std::uint64_t>(sizeof header + header.length, ring_bytes - offset);
        if (how & 1) {
            header.kind = EntryKind::filler;
            header.index = at.index.value();
            hashed = sizeof header;
            if (how & 2)
                header.length = static_cast<std::uint32_t>(ring_bytes - offset - sizeof header);
        } else if (how & 4) {
            header.kind = static_cast<EntryKind>(input.take<std::uint32_t>());
        } else if (how & 8) {
            header.index = input.take<std::uint64_t>();
        } else if (how & 16) {
            header.length = input.take<std::uint32_t>();
        }
        std::byte* place = memory.data() + offset;
        std::memcpy(place, &header, sizeof header);
        const std::array link{XXH3_64bits(place + 8, hashed - 8), at.check};
        header.check = XXH3_64bits(link.data(), sizeof link);
        std::memcpy(place, &header.check, sizeof header.check);
        if (how & 32)
            input.edit(memory);
        if (const auto entry = ring.read(at)) {
            check_entry(*entry, at, memory);
            at = entry->after;
        } else if (how & 1) {
            at.check = header.check;
            at.position += ring_bytes - offset;
        } else {
            break;
        }
    }
    Cursor walk = start;
    for (int steps = 0; steps < 1000; ++steps) {
        const auto entry = ring.read(walk);
        if (!entry)
            break;
        check_entry(*entry, walk, memory);
        const Entry known = ring.read_known(walk);
        fuzz::must(known.body.data() == entry->body.data() && known.after.position == entry->after.position,
                   "a known entry is read as it was");
        walk = entry->after;
    }
    fuzz::must(ring.scan(start) == walk, "scanning is reading again and again");
    return 0;
}
