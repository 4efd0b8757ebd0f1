// SPDX-License-Identifier: Apache-2.0
#include "consensus/board.h"

#include "consensus/hash.h"

#include <cstring>

namespace rdma_paxos {

namespace {

// The image of a row, little-endian, without gaps.
struct RowBytes {
    std::uint64_t check;
    std::uint64_t life;
    std::uint64_t incarnation;
    std::uint64_t beat;
    std::uint64_t term;
    std::uint8_t role;
    std::uint8_t flags;
    std::uint8_t voted_for;
    std::uint8_t granted_to;
    std::uint8_t shares_doubt_of;
    std::uint8_t endpoint_size;
    std::uint8_t version;
    std::uint8_t reserved;
    std::uint64_t released;
    std::uint64_t doubt;
    std::uint64_t shared_doubt;
    std::uint64_t end_index;
    std::uint64_t end_term;
    std::uint64_t end_position;
    std::uint64_t end_check;
    std::uint64_t commit_index;
    std::uint64_t commit_term;
    std::uint64_t commit_position;
    std::uint64_t commit_check;
    std::uint64_t applied_index;
    std::uint64_t applied_position;
    std::uint64_t durable_position;
    std::uint64_t durable_term;
    std::uint64_t lost_index;
    std::uint64_t lost_term;
    std::uint32_t link_generation;
    std::uint32_t link_connected_to;
    std::byte endpoint[Endpoint::capacity];
};
static_assert(sizeof(RowBytes) == 264 && sizeof(RowBytes) <= sizeof(RowImage));
static_assert(sizeof(RowImage) <= row_slot);
static_assert(cell_source_offset(ReplicaId(max_replica_id + 1)) <= ring_offset);

constexpr std::uint8_t row_version = 3;
constexpr std::size_t board_bytes = 32768;
static_assert(row_offset(ReplicaId(max_replica_id)) + row_slot <= board_bytes);

// Bits of `flags`, in order.
constexpr std::array<bool Row::*, 8> flag_bits{&Row::has_quorum, &Row::newcomer,    &Row::cannot_lead,
                                               &Row::suspect,    &Row::handed_over, &Row::dismissed,
                                               &Row::witness,    &Row::left_behind};

std::uint64_t row_check(const RowImage& image, std::uint64_t salt, ReplicaId writer) {
    return hash64(image.data() + 8, image.size() - 8, salt ^ (writer.value() * 0x9e3779b97f4a7c15u));
}

} // namespace

RowImage encode_row(const Row& row, std::uint64_t salt, ReplicaId writer) {
    RowBytes bytes{};
    bytes.life = row.life;
    bytes.incarnation = row.incarnation;
    bytes.beat = row.beat;
    bytes.term = row.term.value();
    bytes.role = static_cast<std::uint8_t>(row.role);
    for (std::size_t bit = 0; bit < flag_bits.size(); ++bit)
        bytes.flags = static_cast<std::uint8_t>(bytes.flags | (row.*flag_bits[bit] ? 1u << bit : 0u));
    bytes.voted_for = row.voted_for.value();
    bytes.granted_to = row.granted_to.value();
    bytes.shares_doubt_of = row.shares_doubt_of.value();
    bytes.endpoint_size = row.log_link.endpoint.size;
    bytes.version = row_version;
    bytes.released = row.released.value();
    bytes.doubt = row.doubt;
    bytes.shared_doubt = row.shared_doubt;
    bytes.end_index = row.end_index.value();
    bytes.end_term = row.end_term.value();
    bytes.end_position = row.end_position;
    bytes.end_check = row.end_check;
    bytes.commit_index = row.commit_index.value();
    bytes.commit_term = row.commit_term.value();
    bytes.commit_position = row.commit_position;
    bytes.commit_check = row.commit_check;
    bytes.applied_index = row.applied_index.value();
    bytes.applied_position = row.applied_position;
    bytes.durable_position = row.durable_position;
    bytes.durable_term = row.durable_term.value();
    bytes.lost_index = row.lost_membership.index.value();
    bytes.lost_term = row.lost_membership.term.value();
    bytes.link_generation = row.log_link.generation;
    bytes.link_connected_to = row.log_link.connected_to;
    std::memcpy(bytes.endpoint, row.log_link.endpoint.bytes.data(), Endpoint::capacity);

    RowImage image{};
    std::memcpy(image.data(), &bytes, sizeof bytes);
    const std::uint64_t check = row_check(image, salt, writer);
    std::memcpy(image.data(), &check, sizeof check);
    return image;
}

std::optional<Row> decode_row(const RowImage& image, std::uint64_t salt, ReplicaId writer) {
    RowBytes bytes;
    std::memcpy(&bytes, image.data(), sizeof bytes);
    if (bytes.check != row_check(image, salt, writer) || bytes.version != row_version ||
        bytes.role > static_cast<std::uint8_t>(Role::learner) || bytes.endpoint_size > Endpoint::capacity)
        return std::nullopt;
    Row row;
    row.life = bytes.life;
    row.incarnation = bytes.incarnation;
    row.beat = bytes.beat;
    row.term = Term(bytes.term);
    row.role = static_cast<Role>(bytes.role);
    for (std::size_t bit = 0; bit < flag_bits.size(); ++bit)
        row.*flag_bits[bit] = (bytes.flags >> bit & 1u) != 0;
    row.voted_for = ReplicaId(bytes.voted_for);
    row.granted_to = ReplicaId(bytes.granted_to);
    row.shares_doubt_of = ReplicaId(bytes.shares_doubt_of);
    row.released = Term(bytes.released);
    row.doubt = bytes.doubt;
    row.shared_doubt = bytes.shared_doubt;
    row.end_index = Index(bytes.end_index);
    row.end_term = Term(bytes.end_term);
    row.end_position = bytes.end_position;
    row.end_check = bytes.end_check;
    row.commit_index = Index(bytes.commit_index);
    row.commit_term = Term(bytes.commit_term);
    row.commit_position = bytes.commit_position;
    row.commit_check = bytes.commit_check;
    row.applied_index = Index(bytes.applied_index);
    row.applied_position = bytes.applied_position;
    row.durable_position = bytes.durable_position;
    row.durable_term = Term(bytes.durable_term);
    row.lost_membership = {Index(bytes.lost_index), Term(bytes.lost_term)};
    row.log_link.generation = bytes.link_generation;
    row.log_link.connected_to = bytes.link_connected_to;
    row.log_link.endpoint.size = bytes.endpoint_size;
    std::memcpy(row.log_link.endpoint.bytes.data(), bytes.endpoint, Endpoint::capacity);
    return row;
}

LeaderCell seal_cell(LeaderCell cell, std::uint64_t salt) {
    cell.check = hash64(&cell.term, sizeof cell - sizeof cell.check, salt);
    return cell;
}

bool cell_is_valid(const LeaderCell& cell, std::uint64_t salt) {
    return cell.check == hash64(&cell.term, sizeof cell - sizeof cell.check, salt);
}

MemoryLayout memory_layout(std::size_t ring_bytes) {
    return {.board_bytes = board_bytes, .log_bytes = ring_offset + ring_bytes, .outbox_bytes = board_bytes};
}

} // namespace rdma_paxos
