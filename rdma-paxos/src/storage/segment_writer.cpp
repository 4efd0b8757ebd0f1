// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>

namespace rdma_paxos::disk {

namespace {

constexpr std::uint64_t block_bytes = 4096;
constexpr std::size_t max_set_aside = 8;
constexpr std::string_view aside_suffix = ".damaged";

tl::unexpected<Error> failed(const char* what, const std::string& path, int error) {
    return tl::unexpected(Error{fmt::format("{} {}: {}", what, path, std::strerror(error))});
}

} // namespace

SegmentWriter::SegmentWriter(Syscalls& system, std::string folder, const Identity& identity,
                             std::uint64_t segment_bytes)
    : system_(system), folder_(std::move(folder)), identity_(identity), segment_bytes_(segment_bytes) {}

SegmentWriter::~SegmentWriter() {
    close_file();
}

void SegmentWriter::close_file() {
    if (file_ >= 0)
        system_.close(file_);
    file_ = -1;
}

tl::expected<void, Error> SegmentWriter::resume(const Recovery& found) {
    segments_ = found.segments;
    standing_ = found.standing;
    base_ = found.base;
    next_segment_ = found.next_segment;
    next_batch_ = found.next_batch;
    void_from_ = found.damaged || found.torn ? found.void_from : 0;
    if (!found.damaged && !found.torn && !segments_.empty()) {
        const std::string& path = segments_.back().path;
        file_ = system_.open(path, O_RDWR | O_DSYNC);
        if (file_ < 0)
            return failed("open", path, -file_);
        salt_ = segment_salt(identity_, segments_.back().number);
        place_ = found.append_place;
        sectors_ = found.append_sectors;
    } else if (auto begun = begin_segment(0); !begun) {
        return begun;
    }
    // Only now, when the new header says what there is to know of them.
    for (const std::string& path : found.unused)
        if (const int removed = system_.unlink(path); removed < 0)
            return failed("unlink", path, -removed);
    for (const std::string& path : found.aside)
        if (auto moved = set_aside(path); !moved)
            return moved;
    if (!found.unused.empty() || !found.aside.empty())
        return sync_folder();
    return {};
}

tl::expected<void, Error> SegmentWriter::write(Batch& batch) {
    const std::uint64_t count = batch.sectors();
    if (file_ < 0 || place_ + count > sectors_)
        if (auto begun = begin_segment(count); !begun)
            return begun;
    const Bytes bytes = batch.seal(next_batch_, salt_, place_);
    if (auto written = write_all(segments_.back().path, bytes, place_ * sector_bytes); !written)
        return written;
    place_ += count;
    ++next_batch_;
    segments_.back().log_end = std::max(segments_.back().log_end, batch.furthest());
    standing_ = *batch.standing();
    if (batch.base())
        base_ = *batch.base();
    return {};
}

// The header is on disk before the first batch is written, and the name before that: a batch that was acknowledged
// is always found again.
tl::expected<void, Error> SegmentWriter::begin_segment(std::uint64_t sectors_needed) {
    close_file();
    const std::uint64_t needed = std::max(segment_bytes_, (header_sectors + sectors_needed) * sector_bytes);
    const SegmentHeader header{.number = next_segment_,
                               .bytes = (needed + block_bytes - 1) / block_bytes * block_bytes,
                               .first_batch = next_batch_,
                               .void_from = void_from_ == 0 ? next_batch_ : void_from_,
                               .standing = standing_,
                               .base = base_};
    const std::string path = folder_ + "/" + segment_name(header.number);
    file_ = system_.open(path, O_RDWR | O_CREAT | O_EXCL | O_DSYNC);
    if (file_ < 0)
        return failed("create", path, -file_);
    if (auto allocated = allocate(path, header.bytes); !allocated) {
        // Give back what there is: the disk is full for others too.
        system_.unlink(path);
        return allocated;
    }
    const Sector sector = encode(header, identity_);
    std::array<std::byte, header_sectors * sector_bytes> twice;
    std::copy(sector.begin(), sector.end(), twice.begin());
    std::copy(sector.begin(), sector.end(), twice.begin() + sector_bytes);
    if (auto written = write_all(path, twice, 0); !written)
        return written;
    if (auto synced = sync_folder(); !synced)
        return synced;
    segments_.push_back({.number = header.number, .path = path, .log_end = 0, .damaged = false});
    salt_ = segment_salt(identity_, header.number);
    place_ = header_sectors;
    sectors_ = header.bytes / sector_bytes;
    ++next_segment_;
    void_from_ = 0;
    return remove_passed();
}

tl::expected<void, Error> SegmentWriter::allocate(const std::string& path, std::uint64_t bytes) {
    int allocated = -EINTR;
    while (allocated == -EINTR)
        allocated = system_.fallocate(file_, bytes);
    if (allocated == -EOPNOTSUPP) {
        const std::vector<std::byte> zeros(std::min<std::uint64_t>(bytes, 1u << 20));
        for (std::uint64_t at = 0; at < bytes; at += zeros.size())
            if (auto written =
                    write_all(path, Bytes(zeros).first(std::min<std::uint64_t>(zeros.size(), bytes - at)), at);
                !written)
                return written;
    } else if (allocated < 0) {
        return failed("allocate", path, -allocated);
    }
    if (const int synced = system_.fsync(file_); synced < 0)
        return failed("fsync", path, -synced);
    return {};
}

tl::expected<void, Error> SegmentWriter::write_all(const std::string& path, Bytes bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t written = system_.pwrite(file_, bytes, offset);
        if (written == -EINTR)
            continue;
        if (written <= 0)
            return failed("write", path, written < 0 ? static_cast<int>(-written) : EIO);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    return {};
}

tl::expected<void, Error> SegmentWriter::sync_folder() {
    const int folder = system_.open(folder_, O_RDONLY | O_DIRECTORY);
    if (folder < 0)
        return failed("open", folder_, -folder);
    const int synced = system_.fsync(folder);
    system_.close(folder);
    if (synced < 0)
        return failed("fsync", folder_, -synced);
    return {};
}

// Kept for those who want to know what happened, but not without end.
tl::expected<void, Error> SegmentWriter::set_aside(const std::string& path) {
    if (const int moved = system_.rename(path, path + std::string(aside_suffix)); moved < 0)
        return failed("rename", path, -moved);
    std::vector<std::string> names;
    if (const int listed = system_.list(folder_, names); listed < 0)
        return failed("list", folder_, -listed);
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(aside_suffix); });
    std::sort(names.begin(), names.end());
    for (std::size_t at = 0; at + max_set_aside < names.size(); ++at)
        system_.unlink(folder_ + "/" + names[at]);
    return {};
}

// From the oldest on, without a gap: a later segment may cut off the tail that an earlier one holds. Done when a
// segment begins, so that the base stands in a header too before anything that it makes superfluous goes.
tl::expected<void, Error> SegmentWriter::remove_passed() {
    bool removed = false;
    while (segments_.size() > 1 && segments_.front().log_end <= base_.position) {
        const Recovery::Kept oldest = segments_.front();
        if (oldest.damaged) {
            if (auto moved = set_aside(oldest.path); !moved)
                return moved;
        } else if (const int unlinked = system_.unlink(oldest.path); unlinked < 0) {
            return failed("unlink", oldest.path, -unlinked);
        }
        segments_.erase(segments_.begin());
        removed = true;
    }
    return removed ? sync_folder() : tl::expected<void, Error>{};
}

} // namespace rdma_paxos::disk
