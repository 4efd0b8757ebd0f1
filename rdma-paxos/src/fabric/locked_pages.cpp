// SPDX-License-Identifier: Apache-2.0
#include "fabric/locked_pages.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sys/mman.h>

namespace rdma_paxos {

namespace {

constexpr std::size_t huge_page = 2u << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
    return (bytes + to - 1) / to * to;
}

std::byte* map(std::size_t bytes, int flags) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

// A transparent huge page needs an aligned place: map more than is needed and give back what sticks out.
std::byte* map_aligned(std::size_t bytes) {
    std::byte* at = map(bytes + huge_page, 0);
    if (!at)
        return nullptr;
    const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(at) % huge_page) % huge_page;
    if (before > 0)
        munmap(at, before);
    if (before < huge_page)
        munmap(at + before + bytes, huge_page - before);
    return at + before;
}

} // namespace

tl::expected<LockedPages, Error> LockedPages::make(std::size_t bytes) {
    LockedPages pages;
    pages.bytes_ = round_up(bytes, 4096);
    if (bytes >= huge_page) {
        pages.mapped_ = round_up(bytes, huge_page);
        pages.base_ = map(pages.mapped_, MAP_HUGETLB | MAP_POPULATE);
        pages.explicit_huge_ = pages.base_ != nullptr;
    }
    if (!pages.base_) {
        pages.mapped_ = pages.bytes_;
        pages.base_ = bytes >= huge_page ? map_aligned(pages.mapped_) : map(pages.mapped_, 0);
        if (pages.base_ && bytes >= huge_page)
            madvise(pages.base_, pages.mapped_, MADV_HUGEPAGE);
    }
    if (!pages.base_)
        return tl::make_unexpected(
            Error{fmt::format("{} bytes of memory: {}", pages.bytes_, std::strerror(errno))});
    // Locking also makes all pages present.
    if (mlock(pages.base_, pages.mapped_) != 0)
        return tl::make_unexpected(
            Error{fmt::format("locking {} bytes of memory: {} (see `ulimit -l`)", bytes, std::strerror(errno))});
    madvise(pages.base_, pages.mapped_, MADV_DONTFORK);
    return pages;
}

LockedPages::~LockedPages() {
    if (base_)
        munmap(base_, mapped_);
}

std::string LockedPages::describe() const {
    return explicit_huge_ ? fmt::format("{} MiB, all on explicit huge pages", mapped_ >> 20)
                          : describe_mapping(base_, mapped_);
}

std::string describe_mapping(const void* base, std::size_t bytes) {
    std::ifstream smaps("/proc/self/smaps");
    std::string word, line;
    const auto begin = reinterpret_cast<std::uintptr_t>(base);
    std::uint64_t huge_kib = 0;
    bool inside = false;
    while (std::getline(smaps, line)) {
        std::uint64_t from = 0, to = 0, kib = 0;
        char name[32] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
            inside = from < begin + bytes && to > begin;
        else if (inside && std::sscanf(line.c_str(), "%31[^:]: %lu kB", name, &kib) == 2 &&
                 (std::strcmp(name, "AnonHugePages") == 0 || std::strcmp(name, "ShmemPmdMapped") == 0))
            huge_kib += kib;
    }
    if (huge_kib == 0)
        return fmt::format("{} MiB on 4 KiB pages", bytes >> 20);
    return fmt::format("{} MiB, {} MiB of it on transparent huge pages", bytes >> 20,
                       std::min<std::uint64_t>(huge_kib >> 10, bytes >> 20));
}

} // namespace rdma_paxos
