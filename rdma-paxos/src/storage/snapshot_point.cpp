// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/snapshot.h"

#include "consensus/hash.h"
#include "consensus/membership_codec.h"

#include <cstring>

namespace rdma_paxos {

namespace {

constexpr std::uint32_t point_magic = 0x4e535052; // "RPSN"
constexpr std::uint16_t point_version = 1;

struct PointBytes {
    std::uint32_t magic;
    std::uint16_t version;
    std::uint16_t reserved;
    std::uint32_t length; ///< of everything, membership included
    std::uint32_t reserved_too;
    std::uint64_t checksum; ///< XXH3-64 of everything, this field 0
    GroupId group;
    std::uint64_t index;
    std::uint64_t term;
    std::uint64_t position;
    std::uint64_t check;
};
static_assert(sizeof(PointBytes) == 72);
static_assert(sizeof(PointBytes) + max_encoded_membership <= max_encoded_snapshot_point);
constexpr std::size_t checksum_offset = offsetof(PointBytes, checksum);

} // namespace

std::vector<std::byte> encode(const SnapshotPoint& point, const GroupId& group) {
    std::vector<std::byte> out(sizeof(PointBytes) + max_encoded_membership);
    std::size_t size = sizeof(PointBytes);
    if (!point.membership.voters.empty())
        size += encode_membership(point.membership, std::span(out).subspan(sizeof(PointBytes)));
    out.resize(size);
    const PointBytes header{.magic = point_magic,
                            .version = point_version,
                            .reserved = 0,
                            .length = static_cast<std::uint32_t>(size),
                            .reserved_too = 0,
                            .checksum = 0,
                            .group = group,
                            .index = point.index.value(),
                            .term = point.term.value(),
                            .position = point.position,
                            .check = point.check};
    std::memcpy(out.data(), &header, sizeof header);
    const std::uint64_t checksum = hash64(out.data(), out.size());
    std::memcpy(out.data() + checksum_offset, &checksum, sizeof checksum);
    return out;
}

std::optional<SnapshotPoint> decode_snapshot_point(Bytes bytes, const GroupId& group) {
    PointBytes header;
    if (bytes.size() < sizeof header || bytes.size() > max_encoded_snapshot_point)
        return std::nullopt;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != point_magic || header.version != point_version || header.reserved != 0 ||
        header.reserved_too != 0 || header.length != bytes.size() || header.group != group)
        return std::nullopt;
    std::array<std::byte, max_encoded_snapshot_point> copy;
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    std::memset(copy.data() + checksum_offset, 0, sizeof header.checksum);
    if (header.checksum != hash64(copy.data(), bytes.size()))
        return std::nullopt;
    SnapshotPoint point{.index = Index(header.index),
                        .term = Term(header.term),
                        .position = header.position,
                        .check = header.check,
                        .membership = {}};
    const Bytes membership = bytes.subspan(sizeof header);
    // No membership is known at the group's very beginning only.
    if (membership.empty() && point.index == Index())
        return point;
    const auto decoded = decode_membership(membership);
    if (!decoded || decoded->index > point.index)
        return std::nullopt;
    point.membership = *decoded;
    return point;
}

} // namespace rdma_paxos
