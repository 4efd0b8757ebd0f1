// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_scan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>

namespace rdma_paxos::disk {

namespace {

constexpr std::uint64_t read_piece = 1u << 20;
constexpr std::uint64_t retry_piece = 4096; // what a device that fails loses at least
constexpr std::size_t payload_offset = 16;
constexpr std::uint64_t max_segment_bytes = 8ull << 30;

class File {
  public:
    File(Syscalls& system, const std::string& path) : system_(system), file_(system.open(path, O_RDONLY)) {}
    ~File() {
        if (file_ >= 0)
            system_.close(file_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int get() const { return file_; }

  private:
    Syscalls& system_;
    int file_;
};

// All of `into`, or an errno. A file that ends early is an I/O error: it was allocated in full.
int read_all(Syscalls& system, int file, std::span<std::byte> into, std::uint64_t offset) {
    while (!into.empty()) {
        const ssize_t got = system.pread(file, into, offset);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? static_cast<int>(-got) : EIO;
        into = into.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return 0;
}

// What the device does not give is filled with bytes that are neither blank nor valid, and counted in sectors.
std::uint64_t read_file(Syscalls& system, int file, std::span<std::byte> image) {
    std::uint64_t lost = 0;
    for (std::uint64_t at = 0; at < image.size(); at += read_piece) {
        const auto piece = image.subspan(at, std::min(read_piece, image.size() - at));
        if (read_all(system, file, piece, at) == 0)
            continue;
        for (std::uint64_t within = 0; within < piece.size(); within += retry_piece) {
            const auto part = piece.subspan(within, std::min(retry_piece, piece.size() - within));
            if (read_all(system, file, part, at + within) == 0)
                continue;
            std::memset(part.data(), 0xee, part.size());
            lost += (part.size() + sector_bytes - 1) / sector_bytes;
        }
    }
    return lost;
}

class Scan {
  public:
    Scan(ScannedSegment& found, Bytes image, const Identity& identity)
        : found_(found), image_(image), identity_(identity), salt_(segment_salt(identity, found.number)) {}

    void run() {
        std::uint64_t place = header_sectors;
        std::uint64_t expected = found_.header ? found_.header->first_batch : 1;
        while (place < found_.sectors) {
            const auto next = next_batch(place, expected);
            if (!next)
                break;
            found_.batches.push_back(look_at(next->first, next->second));
            place = next->first + next->second.count;
            expected = next->second.batch + 1;
        }
        found_.end = std::min(place, found_.sectors);
        found_.end_blank = found_.end == found_.sectors || is_blank(sector(found_.end));
        for (; place < found_.sectors; ++place)
            found_.stray += is_blank(sector(place)) ? 0 : 1;
    }

  private:
    Bytes sector(std::uint64_t place) const { return image_.subspan(place * sector_bytes, sector_bytes); }
    std::optional<SectorInfo> open(std::uint64_t place) const {
        return open_sector(sector(place).data(), salt_, place);
    }

    // Any of a batch's sectors tells where it begins.
    std::optional<std::pair<std::uint64_t, SectorInfo>> next_batch(std::uint64_t from,
                                                                   std::uint64_t expected) const {
        for (std::uint64_t place = from; place < found_.sectors; ++place) {
            const auto info = open(place);
            if (info && info->batch >= expected && place - from >= info->ordinal &&
                info->count <= found_.sectors - (place - info->ordinal))
                return std::pair(place - info->ordinal, *info);
        }
        return std::nullopt;
    }

    FoundBatch look_at(std::uint64_t start, const SectorInfo& info) const {
        FoundBatch batch;
        batch.number = info.batch;
        batch.place = start;
        batch.count = info.count;
        batch.state_changed = info.state_changed;
        std::vector<std::byte> payload;
        bool prefix = true;
        for (std::uint32_t ordinal = 0; ordinal < info.count; ++ordinal) {
            const auto own = open(start + ordinal);
            if (own && own->batch == info.batch && own->ordinal == ordinal && own->count == info.count) {
                if (prefix) {
                    const Bytes bytes = sector(start + ordinal).subspan(payload_offset, sector_payload);
                    payload.insert(payload.end(), bytes.begin(), bytes.end());
                }
                continue;
            }
            batch.has_blank = batch.has_blank || is_blank(sector(start + ordinal));
            if (prefix)
                batch.bad_place = start + ordinal;
            prefix = false;
        }
        batch.whole = prefix;
        if (!read_records(batch, payload) && batch.whole) {
            // Sectors that are what was written, and yet no batch: the program that wrote them was wrong, or its
            // memory was. That is damage like any other.
            batch.whole = false;
            batch.bad_place = start;
        }
        return batch;
    }

    bool read_records(FoundBatch& batch, Bytes payload) const {
        const auto preamble = decode_preamble(payload);
        if (!preamble)
            return false;
        batch.standing = preamble->standing;
        std::uint64_t at = preamble_bytes;
        while (at < preamble->length) {
            if (at > payload.size())
                return false;
            const auto header = decode_record_header(payload.subspan(at));
            if (!header)
                return false;
            const std::uint64_t body = at + record_header_bytes;
            const std::uint64_t after = body + padded(header->length);
            if (after > payload.size() || after > preamble->length)
                return false;
            if (header->type == RecordType::log) {
                batch.log.push_back({.position = header->position,
                                     .length = header->length,
                                     .segment = found_.number,
                                     .batch_place = batch.place,
                                     .offset = body});
            } else {
                const auto base = decode_snapshot_point(payload.subspan(body, header->length), identity_.group);
                if (!base)
                    return false;
                batch.base = *base;
            }
            at = after;
        }
        return at == preamble->length;
    }

    ScannedSegment& found_;
    Bytes image_;
    const Identity& identity_;
    std::uint64_t salt_;
};

// The copies are equal; either will do.
tl::expected<void, Error> read_header(ScannedSegment& found, Bytes image, const Identity& identity) {
    for (std::uint64_t copy = 0; copy < header_sectors; ++copy) {
        const auto header = decode_header(image.subspan(copy * sector_bytes, sector_bytes), identity);
        if (header && header->number == found.number) {
            if (!found.header)
                found.header = *header;
            continue;
        }
        found.header_damaged = true;
        if (header || header.error() == HeaderError::damaged || header.error() == HeaderError::blank)
            continue;
        return tl::unexpected(
            Error{header.error() == HeaderError::other_version
                      ? fmt::format("{}: written by another version of this program (this one reads format {})",
                                    found.path, format_version)
                      : fmt::format("{}: belongs to another group or replica", found.path)});
    }
    return {};
}

} // namespace

tl::expected<ScannedSegment, Error> scan_segment(Syscalls& system, const std::string& path, std::uint64_t number,
                                                 const Identity& identity) {
    ScannedSegment found;
    found.number = number;
    found.path = path;
    const File file(system, path);
    if (file.get() < 0)
        return tl::unexpected(Error{fmt::format("open {}: {}", path, std::strerror(-file.get()))});
    const std::int64_t size = system.size(file.get());
    if (size < 0 || static_cast<std::uint64_t>(size) > max_segment_bytes)
        return tl::unexpected(Error{
            fmt::format("size of {}: {}", path, size < 0 ? std::strerror(static_cast<int>(-size)) : "absurd")});
    found.sectors = static_cast<std::uint64_t>(size) / sector_bytes;
    std::vector<std::byte> image(static_cast<std::size_t>(size));
    found.unreadable = read_file(system, file.get(), image);
    found.blank = found.header_blank = is_blank(image);
    if (found.blank)
        return found;
    if (found.sectors < header_sectors) {
        found.header_damaged = true;
        found.end = found.sectors;
        return found;
    }
    found.header_blank = is_blank(Bytes(image).first(header_sectors * sector_bytes));
    if (auto known = read_header(found, image, identity); !known)
        return tl::unexpected(known.error());
    Scan(found, image, identity).run();
    if (found.header && found.header->bytes / sector_bytes > found.sectors) {
        // The file was cut short; what is missing cannot be told from what could not be read.
        found.unreadable += found.header->bytes / sector_bytes - found.sectors;
        found.end_blank = found.end_blank && found.end < found.sectors;
    }
    return found;
}

bool read_extent(Syscalls& system, int file, const Extent& extent, const Identity& identity,
                 std::vector<std::byte>& out) {
    const std::uint64_t salt = segment_salt(identity, extent.segment);
    const std::uint64_t first = extent.offset / sector_payload;
    const std::uint64_t last = (extent.offset + extent.length + sector_payload - 1) / sector_payload;
    std::vector<std::byte> sectors((last - first) * sector_bytes);
    if (read_all(system, file, sectors, (extent.batch_place + first) * sector_bytes) != 0)
        return false;
    out.clear();
    out.reserve(extent.length);
    std::uint64_t skip = extent.offset % sector_payload;
    for (std::uint64_t ordinal = first; ordinal < last; ++ordinal) {
        const std::byte* sector = sectors.data() + (ordinal - first) * sector_bytes;
        const auto info = open_sector(sector, salt, extent.batch_place + ordinal);
        if (!info || info->ordinal != ordinal)
            return false;
        const std::uint64_t piece = std::min(sector_payload - skip, extent.length - out.size());
        out.insert(out.end(), sector + payload_offset + skip, sector + payload_offset + skip + piece);
        skip = 0;
    }
    return true;
}

} // namespace rdma_paxos::disk
