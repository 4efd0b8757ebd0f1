// SPDX-License-Identifier: Apache-2.0
#include "replicate/entry.h"

#include <cstring>

namespace tripod::replicate {

namespace {

constexpr uint32_t entry_magic = 0x31455054; // "TPE1"
constexpr uint16_t entry_version = 1;

struct Header {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint64_t first_seq;
    uint32_t count;
    uint32_t bytes;
};
static_assert(sizeof(Header) == entry_header_bytes);

void put_header(std::span<std::byte> bytes, EntryKind kind, uint64_t first_seq, uint32_t count) {
    const Header header = {entry_magic, entry_version, static_cast<uint16_t>(kind),
                           first_seq,   count,         static_cast<uint32_t>(bytes.size() - entry_header_bytes)};
    std::memcpy(bytes.data(), &header, sizeof header);
}

} // namespace

void put_records_header(std::span<std::byte> entry, uint64_t first_seq, uint32_t count) {
    put_header(entry, EntryKind::records, first_seq, count);
}

std::vector<std::byte> encode_promoted(uint8_t replica) {
    std::vector<std::byte> bytes(entry_header_bytes);
    put_header(bytes, EntryKind::promoted, replica, 0);
    return bytes;
}

std::vector<std::byte> encode_dissolved() {
    std::vector<std::byte> bytes(entry_header_bytes);
    put_header(bytes, EntryKind::dissolved, 0, 0);
    return bytes;
}

tl::expected<EntryView, std::string> decode_header(std::span<const std::byte> bytes) {
    if (bytes.size() < entry_header_bytes)
        return tl::unexpected("log entry of " + std::to_string(bytes.size()) + " bytes");
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != entry_magic || header.version != entry_version)
        return tl::unexpected("log entry with magic " + std::to_string(header.magic) + ", version " +
                              std::to_string(header.version));
    if (header.bytes != bytes.size() - entry_header_bytes)
        return tl::unexpected("log entry that announces " + std::to_string(header.bytes) + " bytes and has " +
                              std::to_string(bytes.size() - entry_header_bytes));
    EntryView view{static_cast<EntryKind>(header.kind), header.first_seq, header.count,
                   bytes.subspan(entry_header_bytes)};
    if (view.kind == EntryKind::promoted || view.kind == EntryKind::dissolved) {
        if (header.count != 0 || header.bytes != 0 || header.first_seq > UINT8_MAX)
            return tl::unexpected(std::string("malformed entry about the end of a group"));
        return view;
    }
    if (view.kind != EntryKind::records)
        return tl::unexpected("log entry of unknown kind " + std::to_string(header.kind));
    return view;
}

} // namespace tripod::replicate
