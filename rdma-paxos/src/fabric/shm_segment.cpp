// SPDX-License-Identifier: Apache-2.0
#include "fabric/shm_segment.h"

#include "fabric/locked_pages.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <random>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rdma_paxos {

namespace {

// Huge pages, where the system grants them to shared memory, must be asked for before the first page is there.
std::byte* map(int fd, std::size_t bytes) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return nullptr;
    madvise(at, bytes, MADV_HUGEPAGE);
    madvise(at, bytes, MADV_POPULATE_WRITE); // else they come with their first use
    return static_cast<std::byte*>(at);
}

std::uint64_t page_up(std::uint64_t bytes) {
    return (bytes + 4095) & ~std::uint64_t{4095};
}

} // namespace

std::string shm_name(const GroupId& group, ReplicaId id) {
    std::string name = "/rdma-paxos-";
    for (const std::uint8_t byte : group)
        name += fmt::format("{:02x}", byte);
    return name + fmt::format("-{}", id.value());
}

tl::expected<std::unique_ptr<ShmSegment>, Error> ShmSegment::create(const std::string& name,
                                                                    const MemoryLayout& layout) {
    const auto failed = [&](const char* call) {
        return tl::make_unexpected(
            Error{fmt::format("shared memory {}: {}: {}", name, call, std::strerror(errno))});
    };
    const std::uint64_t board = page_up(layout.board_bytes);
    const std::uint64_t total = shm_header_bytes + board + page_up(layout.log_bytes);
    shm_unlink(name.c_str());
    const int fd = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("create");
    // posix_fallocate, so that a full /dev/shm is an error here and not a signal later.
    const int full = posix_fallocate(fd, 0, static_cast<off_t>(total));
    std::byte* base = full == 0 ? map(fd, total) : nullptr;
    if (!base) {
        errno = full != 0 ? full : errno;
        close(fd);
        shm_unlink(name.c_str());
        return failed("allocate");
    }
    close(fd);
    auto* header = new (base) ShmHeader;
    std::random_device random;
    header->nonce = (std::uint64_t{random()} << 32) | random();
    header->total_bytes = total;
    header->region_offset = {shm_header_bytes, shm_header_bytes + board};
    header->region_bytes = {layout.board_bytes, layout.log_bytes};
    header->magic.store(ShmHeader::expected_magic, std::memory_order_release);
    return std::unique_ptr<ShmSegment>(new ShmSegment(base, total, name));
}

std::unique_ptr<ShmSegment> ShmSegment::attach(const std::string& name) {
    const int fd = shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return nullptr;
    struct stat status {};
    std::unique_ptr<ShmSegment> segment;
    if (fstat(fd, &status) == 0 && static_cast<std::size_t>(status.st_size) > shm_header_bytes)
        if (std::byte* base = map(fd, static_cast<std::size_t>(status.st_size)))
            segment.reset(new ShmSegment(base, static_cast<std::size_t>(status.st_size), ""));
    close(fd);
    if (!segment || segment->header().magic.load(std::memory_order_acquire) != ShmHeader::expected_magic ||
        segment->header().total_bytes != segment->bytes_)
        return nullptr;
    return segment;
}

std::string ShmSegment::describe_pages() const {
    return describe_mapping(base_, bytes_);
}

std::optional<std::uint64_t> ShmSegment::nonce_of(const std::string& name) {
    const int fd = shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return std::nullopt;
    std::array<std::uint64_t, 2> words{};
    const bool whole = pread(fd, words.data(), sizeof words, 0) == static_cast<ssize_t>(sizeof words);
    close(fd);
    if (!whole || words[0] != ShmHeader::expected_magic)
        return std::nullopt;
    return words[1];
}

ShmSegment::~ShmSegment() {
    // Only our own object may lose its name: a successor may have taken it over.
    if (!owned_name_.empty() && nonce_of(owned_name_) == header().nonce)
        shm_unlink(owned_name_.c_str());
    munmap(base_, bytes_);
}

std::span<std::byte> ShmSegment::region(Link link) const {
    const auto which = static_cast<std::size_t>(link);
    return {base_ + header().region_offset[which], header().region_bytes[which]};
}

} // namespace rdma_paxos
