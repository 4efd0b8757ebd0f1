// SPDX-License-Identifier: Apache-2.0
#include "replicate/entry.h"

#include <cassert>
#include <cstdlib>
#include <cstring>

#include "record/record_view.h"

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

void EntryBuilder::clear() {
    bytes_.resize(entry_header_bytes);
    count_ = 0;
}

void EntryBuilder::add(uint64_t seq, std::span<const std::byte> record) {
    if (count_ == 0)
        first_seq_ = seq;
    else if (seq != first_seq_ + count_)
        std::abort(); // the caller checks continuity: an entry with a gap would make every backup diverge
    bytes_.insert(bytes_.end(), record.begin(), record.end());
    ++count_;
}

std::span<const std::byte> EntryBuilder::finish() {
    put_header(bytes_, EntryKind::records, first_seq_, count_);
    return bytes_;
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

tl::expected<EntryView, std::string> decode_entry(std::span<const std::byte> bytes) {
    const auto decoded = decode_header(bytes);
    if (!decoded || decoded->kind != EntryKind::records)
        return decoded;
    const EntryView& view = *decoded;
    record::RecordReader reader(view.records);
    uint32_t count = 0;
    while (true) {
        auto next = reader.next();
        if (!next)
            return tl::unexpected("log entry with a bad record: " + next.error().message);
        if (!*next)
            break;
        if ((*next)->header().seq != view.first_seq + count)
            return tl::unexpected("log entry with record " + std::to_string((*next)->header().seq) + " where " +
                                  std::to_string(view.first_seq + count) + " belongs");
        ++count;
    }
    if (count != view.count)
        return tl::unexpected("log entry that announces " + std::to_string(view.count) + " records and has " +
                              std::to_string(count));
    return view;
}

} // namespace tripod::replicate
