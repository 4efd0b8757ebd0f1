// SPDX-License-Identifier: Apache-2.0
#include "storage/batch.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos::disk {

namespace {

constexpr std::size_t payload_offset = 16;

std::size_t sectors_for(std::size_t payload) {
    return (payload + sector_payload - 1) / sector_payload;
}

} // namespace

Batch::Batch(std::size_t capacity) : bytes_(sectors_for(capacity + preamble_bytes) * sector_bytes) {}

void Batch::clear() {
    used_ = preamble_bytes;
    furthest_ = 0;
    base_.reset();
    standing_.reset();
    state_changed_ = false;
}

bool Batch::has_room(std::size_t body) const {
    return sectors_for(used_ + record_header_bytes + padded(body)) * sector_bytes <= bytes_.size();
}

void Batch::put(std::size_t at, Bytes bytes) {
    while (!bytes.empty()) {
        const std::size_t within = at % sector_payload;
        const std::size_t piece = std::min(bytes.size(), sector_payload - within);
        std::memcpy(bytes_.data() + at / sector_payload * sector_bytes + payload_offset + within, bytes.data(),
                    piece);
        at += piece;
        bytes = bytes.subspan(piece);
    }
}

void Batch::add(const RecordHeader& header, Bytes body) {
    const std::size_t after = used_ + record_header_bytes + padded(body.size());
    if (!has_room(body.size()))
        bytes_.resize(sectors_for(after) * sector_bytes);
    const RecordHeaderBytes encoded = encode(header);
    put(used_, encoded);
    put(used_ + encoded.size(), body);
    constexpr std::array<std::byte, 8> zeros{};
    put(used_ + encoded.size() + body.size(), Bytes(zeros).first(padded(body.size()) - body.size()));
    used_ = after;
}

void Batch::add_log(std::uint64_t position, Bytes bytes) {
    add({.type = RecordType::log, .length = static_cast<std::uint32_t>(bytes.size()), .position = position}, bytes);
    furthest_ = std::max(furthest_, position + bytes.size());
}

void Batch::add_base(const SnapshotPoint& point, const GroupId& group) {
    const std::vector<std::byte> bytes = rdma_paxos::encode(point, group);
    add({.type = RecordType::base, .length = static_cast<std::uint32_t>(bytes.size()), .position = 0}, bytes);
    base_ = point;
}

void Batch::set_standing(const Standing& standing, bool state_changed) {
    standing_ = standing;
    state_changed_ = state_changed_ || state_changed;
}

Bytes Batch::seal(std::uint64_t number, std::uint64_t salt, std::uint64_t place) {
    const auto count = static_cast<std::uint32_t>(sectors());
    put(0, encode(Preamble{.length = static_cast<std::uint32_t>(used_), .standing = *standing_}));
    const std::size_t last = used_ - (count - 1) * sector_payload;
    std::memset(bytes_.data() + (count - 1) * sector_bytes + payload_offset + last, 0, sector_payload - last);
    for (std::uint32_t ordinal = 0; ordinal < count; ++ordinal)
        disk::seal(bytes_.data() + ordinal * sector_bytes, {number, ordinal, count, state_changed_}, salt,
                   place + ordinal);
    return Bytes(bytes_).first(count * sector_bytes);
}

} // namespace rdma_paxos::disk
