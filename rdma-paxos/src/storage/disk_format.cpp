// SPDX-License-Identifier: Apache-2.0
#include "storage/disk_format.h"

#include "consensus/hash.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fmt/format.h>

namespace rdma_paxos::disk {

static_assert(std::endian::native == std::endian::little, "disk images are little-endian");

namespace {

constexpr std::uint64_t segment_magic = 0x0047455358415052; // "RPAXSEG"
constexpr std::uint32_t preamble_magic = 0x41425052;        // "RPBA"
constexpr std::size_t checked_bytes = sector_bytes - sizeof(std::uint64_t);
constexpr std::uint32_t flag_state_changed = 1u << 31;
constexpr std::size_t base_room = 312;

struct StandingBytes {
    std::uint64_t incarnation;
    std::uint64_t term;
    std::uint64_t log_end;
    std::uint8_t voted_for;
    std::uint8_t flags; // 1: log suspect, 2: state suspect
    std::uint8_t reserved[6];
    std::uint64_t membership_index;
    std::uint64_t membership_term;
    std::uint64_t ring_bytes;
};
static_assert(sizeof(StandingBytes) == 56);

struct HeaderBytes {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t sector_bytes;
    GroupId group;
    std::uint8_t self;
    std::uint8_t reserved[7];
    std::uint64_t number;
    std::uint64_t bytes;
    std::uint64_t first_batch;
    std::uint64_t void_from;
    StandingBytes standing;
    std::uint32_t base_length;
    std::uint32_t reserved_too;
    std::byte base[base_room];
    std::byte unused[56];
    std::uint64_t check;
};
static_assert(sizeof(HeaderBytes) == sector_bytes);

struct SectorBytes {
    std::uint64_t batch;
    std::uint32_t ordinal;
    std::uint32_t count_and_flag;
    std::byte payload[sector_payload];
    std::uint64_t check;
};
static_assert(sizeof(SectorBytes) == sector_bytes);

struct PreambleLayout {
    std::uint32_t magic;
    std::uint32_t length;
    StandingBytes standing;
};
static_assert(sizeof(PreambleLayout) == preamble_bytes);

struct RecordLayout {
    std::uint32_t type;
    std::uint32_t length;
    std::uint64_t position;
    std::uint64_t check;
};
static_assert(sizeof(RecordLayout) == record_header_bytes);
constexpr std::size_t record_checked = offsetof(RecordLayout, check);

StandingBytes bytes_of(const Standing& standing) {
    StandingBytes bytes{};
    bytes.incarnation = standing.state.incarnation;
    bytes.term = standing.state.term.value();
    bytes.log_end = standing.log_end;
    bytes.voted_for = standing.state.voted_for.value();
    bytes.flags = static_cast<std::uint8_t>((standing.log_suspect ? 1 : 0) | (standing.state_suspect ? 2 : 0));
    bytes.membership_index = standing.state.membership.index.value();
    bytes.membership_term = standing.state.membership.term.value();
    bytes.ring_bytes = standing.state.ring_bytes;
    return bytes;
}

std::optional<Standing> standing_of(const StandingBytes& bytes) {
    if (bytes.voted_for > max_replica_id || bytes.flags > 3)
        return std::nullopt;
    return Standing{{bytes.incarnation,
                     Term(bytes.term),
                     ReplicaId(bytes.voted_for),
                     {Index(bytes.membership_index), Term(bytes.membership_term)},
                     bytes.ring_bytes},
                    bytes.log_end,
                    (bytes.flags & 1) != 0,
                    (bytes.flags & 2) != 0};
}

} // namespace

Sector encode(const SegmentHeader& header, const Identity& identity) {
    HeaderBytes bytes{};
    bytes.magic = segment_magic;
    bytes.version = format_version;
    bytes.sector_bytes = sector_bytes;
    bytes.group = identity.group;
    bytes.self = identity.self.value();
    bytes.number = header.number;
    bytes.bytes = header.bytes;
    bytes.first_batch = header.first_batch;
    bytes.void_from = header.void_from;
    bytes.standing = bytes_of(header.standing);
    const std::vector<std::byte> base = rdma_paxos::encode(header.base, identity.group);
    static_assert(base_room <= max_encoded_snapshot_point);
    bytes.base_length = static_cast<std::uint32_t>(std::min(base.size(), base_room));
    std::memcpy(bytes.base, base.data(), bytes.base_length);
    bytes.check = hash64(&bytes, checked_bytes);
    return std::bit_cast<Sector>(bytes);
}

tl::expected<SegmentHeader, HeaderError> decode_header(Bytes sector, const Identity& identity) {
    HeaderBytes bytes;
    if (sector.size() != sizeof bytes)
        return tl::unexpected(HeaderError::damaged);
    if (is_blank(sector))
        return tl::unexpected(HeaderError::blank);
    std::memcpy(&bytes, sector.data(), sizeof bytes);
    if (bytes.magic != segment_magic || bytes.check != hash64(&bytes, checked_bytes))
        return tl::unexpected(HeaderError::damaged);
    if (bytes.version != format_version || bytes.sector_bytes != sector_bytes)
        return tl::unexpected(HeaderError::other_version);
    if (bytes.group != identity.group || bytes.self != identity.self.value())
        return tl::unexpected(HeaderError::other_owner);
    const auto standing = standing_of(bytes.standing);
    if (!standing || bytes.base_length > base_room || bytes.first_batch == 0 || bytes.void_from > bytes.first_batch)
        return tl::unexpected(HeaderError::damaged);
    const auto base = decode_snapshot_point({bytes.base, bytes.base_length}, identity.group);
    if (!base)
        return tl::unexpected(HeaderError::damaged);
    return SegmentHeader{.number = bytes.number,
                         .bytes = bytes.bytes,
                         .first_batch = bytes.first_batch,
                         .void_from = bytes.void_from,
                         .standing = *standing,
                         .base = *base};
}

std::string segment_name(std::uint64_t number) {
    return fmt::format("log-{:016x}", number);
}

std::optional<std::uint64_t> segment_number(std::string_view name) {
    std::uint64_t number = 0;
    if (name.size() != 20 || !name.starts_with("log-"))
        return std::nullopt;
    const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), number, 16);
    if (error != std::errc() || end != name.data() + name.size() || segment_name(number) != name)
        return std::nullopt;
    return number;
}

std::uint64_t segment_salt(const Identity& identity, std::uint64_t number) {
    std::array<std::uint8_t, 32> bytes{};
    std::copy(identity.group.begin(), identity.group.end(), bytes.begin());
    bytes[16] = identity.self.value();
    std::memcpy(bytes.data() + 24, &number, sizeof number);
    return hash64(bytes.data(), bytes.size());
}

void seal(std::byte* sector, const SectorInfo& info, std::uint64_t salt, std::uint64_t place) {
    const std::uint32_t count = info.count | (info.state_changed ? flag_state_changed : 0);
    std::memcpy(sector, &info.batch, 8);
    std::memcpy(sector + 8, &info.ordinal, 4);
    std::memcpy(sector + 12, &count, 4);
    const std::uint64_t check = hash64(sector, checked_bytes, salt + place);
    std::memcpy(sector + checked_bytes, &check, 8);
}

std::optional<SectorInfo> open_sector(const std::byte* sector, std::uint64_t salt, std::uint64_t place) {
    SectorBytes bytes;
    std::memcpy(&bytes, sector, sizeof bytes);
    if (bytes.batch == 0 || bytes.check != hash64(sector, checked_bytes, salt + place))
        return std::nullopt;
    const SectorInfo info{.batch = bytes.batch,
                          .ordinal = bytes.ordinal,
                          .count = bytes.count_and_flag & ~flag_state_changed,
                          .state_changed = (bytes.count_and_flag & flag_state_changed) != 0};
    if (info.ordinal >= info.count)
        return std::nullopt;
    return info;
}

bool is_blank(Bytes bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

PreambleBytes encode(const Preamble& preamble) {
    return std::bit_cast<PreambleBytes>(PreambleLayout{
        .magic = preamble_magic, .length = preamble.length, .standing = bytes_of(preamble.standing)});
}

std::optional<Preamble> decode_preamble(Bytes bytes) {
    PreambleLayout layout;
    if (bytes.size() < sizeof layout)
        return std::nullopt;
    std::memcpy(&layout, bytes.data(), sizeof layout);
    const auto standing = standing_of(layout.standing);
    if (layout.magic != preamble_magic || layout.length < sizeof layout || !standing)
        return std::nullopt;
    return Preamble{.length = layout.length, .standing = *standing};
}

RecordHeaderBytes encode(const RecordHeader& header) {
    RecordLayout layout{.type = static_cast<std::uint32_t>(header.type),
                        .length = header.length,
                        .position = header.position,
                        .check = 0};
    layout.check = hash64(&layout, record_checked);
    return std::bit_cast<RecordHeaderBytes>(layout);
}

std::optional<RecordHeader> decode_record_header(Bytes bytes) {
    RecordLayout layout;
    if (bytes.size() < sizeof layout)
        return std::nullopt;
    std::memcpy(&layout, bytes.data(), sizeof layout);
    if (layout.check != hash64(&layout, record_checked) || (layout.type != 1 && layout.type != 2))
        return std::nullopt;
    return RecordHeader{
        .type = static_cast<RecordType>(layout.type), .length = layout.length, .position = layout.position};
}

} // namespace rdma_paxos::disk
