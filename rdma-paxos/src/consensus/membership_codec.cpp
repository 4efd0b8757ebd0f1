// SPDX-License-Identifier: Apache-2.0
#include "consensus/membership_codec.h"

#include <cstring>

namespace rdma_paxos {

namespace {

constexpr std::uint8_t membership_version = 1;
constexpr std::uint8_t flag_witness = 1;

struct HeaderBytes {
    std::uint8_t version;
    std::uint8_t phase;
    std::uint8_t voters;
    std::uint8_t target;
    std::uint32_t reserved;
    std::uint64_t index;
};
static_assert(sizeof(HeaderBytes) == membership_header_bytes);

struct MemberBytes {
    std::uint8_t id;
    std::uint8_t flags;
    std::uint8_t reserved[6];
    std::uint64_t incarnation;
};
static_assert(sizeof(MemberBytes) == encoded_member_bytes);

std::byte* put(const MemberSet& set, std::byte* out) {
    for (const Member& member : set) {
        MemberBytes bytes{};
        bytes.id = member.id.value();
        bytes.flags = member.witness ? flag_witness : 0;
        bytes.incarnation = member.incarnation;
        std::memcpy(out, &bytes, sizeof bytes);
        out += sizeof bytes;
    }
    return out;
}

// Each membership has one encoding only: reserved bytes are 0, members stand in order.
bool take(MemberSet& set, std::size_t count, const std::byte*& from) {
    bool leads = count == 0;
    std::uint8_t last = 0;
    for (; count > 0; --count) {
        MemberBytes bytes;
        std::memcpy(&bytes, from, sizeof bytes);
        from += sizeof bytes;
        bool blank = true;
        for (const std::uint8_t reserved : bytes.reserved)
            blank = blank && reserved == 0;
        if (bytes.id <= last || bytes.id > max_replica_id || (bytes.flags & ~flag_witness) != 0 || !blank)
            return false;
        last = bytes.id;
        leads = leads || bytes.flags == 0;
        if (!set.add({ReplicaId(bytes.id), bytes.flags != 0, bytes.incarnation}))
            return false;
    }
    return leads;
}

} // namespace

std::size_t encode_membership(const Membership& membership, std::span<std::byte> out) {
    const std::size_t members = membership.voters.size() + membership.target.size();
    const std::size_t size = membership_header_bytes + members * encoded_member_bytes;
    if (out.size() < size)
        return 0;
    const HeaderBytes header{.version = membership_version,
                             .phase = static_cast<std::uint8_t>(membership.phase),
                             .voters = static_cast<std::uint8_t>(membership.voters.size()),
                             .target = static_cast<std::uint8_t>(membership.target.size()),
                             .reserved = 0,
                             .index = membership.index.value()};
    std::memcpy(out.data(), &header, sizeof header);
    put(membership.target, put(membership.voters, out.data() + sizeof header));
    return size;
}

std::optional<Membership> decode_membership(Bytes bytes) {
    HeaderBytes header;
    if (bytes.size() < sizeof header)
        return std::nullopt;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.version != membership_version ||
        header.phase > static_cast<std::uint8_t>(Membership::Phase::joint) || header.voters == 0 ||
        header.voters > max_replicas || header.target > max_replicas || header.reserved != 0 ||
        bytes.size() != sizeof header + (header.voters + header.target) * encoded_member_bytes)
        return std::nullopt;
    Membership membership;
    membership.phase = static_cast<Membership::Phase>(header.phase);
    membership.index = Index(header.index);
    if ((membership.phase == Membership::Phase::stable) != (header.target == 0))
        return std::nullopt;
    const std::byte* from = bytes.data() + sizeof header;
    if (!take(membership.voters, header.voters, from) || !take(membership.target, header.target, from))
        return std::nullopt;
    return membership;
}

} // namespace rdma_paxos
