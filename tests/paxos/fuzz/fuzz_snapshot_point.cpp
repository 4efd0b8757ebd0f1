// SPDX-License-Identifier: Apache-2.0
//
// Snapshot points and memberships, raw and with a check that fits. What is accepted has one form only.
#include "consensus/membership_codec.h"
#include "fuzz_input.h"
#include "rdma_paxos/snapshot.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace rdma_paxos;

namespace {

constexpr GroupId group{1, 2, 3};

Membership joint() {
    Membership membership;
    membership.phase = Membership::Phase::joint;
    membership.index = Index(5);
    for (std::uint8_t id = 1; id <= 3; ++id) {
        membership.voters.add({.id = ReplicaId(id), .witness = id == 2, .incarnation = id * 9ull});
        membership.target.add({.id = ReplicaId(id * 2), .witness = false, .incarnation = id * 8ull});
    }
    return membership;
}

void try_point(std::span<std::byte> bytes) {
    if (const auto point = decode_snapshot_point(bytes, group)) {
        const auto again = encode(*point, group);
        fuzz::must(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "a point has one form");
        fuzz::must(point->membership.voters.size() <= max_replicas, "a point has few voters");
    }
}

void try_membership(Bytes bytes) {
    if (const auto membership = decode_membership(bytes)) {
        std::array<std::byte, max_encoded_membership> again;
        const std::size_t size = encode_membership(*membership, again);
        fuzz::must(std::equal(again.begin(), again.begin() + size, bytes.begin(), bytes.end()),
                   "a membership has one form");
        to_string(*membership);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::byte> raw(size);
    if (size > 0)
        std::memcpy(raw.data(), data, size);
    try_point(raw);
    try_membership(raw);

    fuzz::Input input(data, size);
    std::vector<std::byte> bytes = encode(
        SnapshotPoint{.index = Index(9), .term = Term(4), .position = 800, .check = 77, .membership = joint()},
        group);
    bytes.resize(std::max<std::size_t>(24, bytes.size() + input.take<std::int8_t>()));
    while (!input.empty())
        input.edit(bytes);
    try_membership(Bytes(bytes).subspan(std::min<std::size_t>(72, bytes.size())));
    const auto length = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data() + 8, &length, 4);
    std::memset(bytes.data() + 16, 0, 8);
    const std::uint64_t check = XXH3_64bits(bytes.data(), bytes.size());
    std::memcpy(bytes.data() + 16, &check, 8);
    try_point(bytes);
    return 0;
}
