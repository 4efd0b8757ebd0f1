// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a segment file, as docs/consensus-formats.md, "Disk format", specifies them: sectors, each with a
// check of its own; a segment header; batches of records.
#pragma once

#include "rdma_paxos/storage.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace rdma_paxos::disk {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::size_t sector_payload = 488;
inline constexpr std::uint64_t header_sectors = 2; ///< the segment header, and the same once more
inline constexpr std::uint32_t format_version = 2;

/// Whose files these are.
struct Identity {
    GroupId group{};
    ReplicaId self;
};

/// What holds at a moment, besides the log. It stands in every batch and every segment header.
struct Standing {
    HardState state;
    std::uint64_t log_end = 0;  ///< position behind the last entry
    bool log_suspect = false;   ///< since some recovery, until repaired
    bool state_suspect = false; ///< since some recovery, until a state was stored
    friend bool operator==(const Standing&, const Standing&) = default;
};

struct SegmentHeader {
    std::uint64_t number = 0; ///< as in the file's name
    std::uint64_t bytes = 0;  ///< size of the file
    std::uint64_t first_batch = 1;
    /// Log records in the batches [void_from, first_batch) do not count: the recovery that began this segment could
    /// not read the log beyond.
    std::uint64_t void_from = 1;
    Standing standing; ///< before first_batch
    SnapshotPoint base;
};

using Sector = std::array<std::byte, sector_bytes>;

enum class HeaderError : std::uint8_t { damaged, blank, other_version, other_owner };

Sector encode(const SegmentHeader& header, const Identity& identity);
tl::expected<SegmentHeader, HeaderError> decode_header(Bytes sector, const Identity& identity);

/// "log-" and 16 hexadecimal digits.
std::string segment_name(std::uint64_t number);
std::optional<std::uint64_t> segment_number(std::string_view name);

/// What a sector says of the batch that it belongs to.
struct SectorInfo {
    std::uint64_t batch = 0;
    std::uint32_t ordinal = 0; ///< within the batch
    std::uint32_t count = 0;   ///< sectors of the batch
    bool state_changed = false;
};

/// Mixed into the checks of all sectors of one segment, so that bytes of another file, or of another place, fail.
std::uint64_t segment_salt(const Identity& identity, std::uint64_t number);

/// Fills in everything but the payload of the sector that stands at `place` (in sectors) of its segment.
void seal(std::byte* sector, const SectorInfo& info, std::uint64_t salt, std::uint64_t place);
std::optional<SectorInfo> open_sector(const std::byte* sector, std::uint64_t salt, std::uint64_t place);
bool is_blank(Bytes bytes); ///< all zero

// The payloads of a batch's sectors, one after the other: a preamble, then records.

struct Preamble {
    std::uint32_t length = 0; ///< of preamble and records
    Standing standing;        ///< after this batch
};
inline constexpr std::size_t preamble_bytes = 64;
using PreambleBytes = std::array<std::byte, preamble_bytes>;
PreambleBytes encode(const Preamble& preamble);
std::optional<Preamble> decode_preamble(Bytes bytes);

enum class RecordType : std::uint32_t { log = 1, base = 2 };
struct RecordHeader {
    RecordType type = RecordType::log;
    std::uint32_t length = 0;   ///< of the body, which is padded to 8 bytes
    std::uint64_t position = 0; ///< in the log, of the body's first byte; 0 for a base
};
inline constexpr std::size_t record_header_bytes = 24;
using RecordHeaderBytes = std::array<std::byte, record_header_bytes>;
RecordHeaderBytes encode(const RecordHeader& header);
std::optional<RecordHeader> decode_record_header(Bytes bytes);

constexpr std::uint64_t padded(std::uint64_t length) {
    return (length + 7) & ~std::uint64_t{7};
}

} // namespace rdma_paxos::disk
