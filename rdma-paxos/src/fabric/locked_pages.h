// SPDX-License-Identifier: Apache-2.0
//
// Memory for a device to write into.
#pragma once

#include "rdma_paxos/types.h"

#include <tl/expected.hpp>
#include <utility>

namespace rdma_paxos {

/// Pages that stay where they are: present before the first write comes, never swapped, not shared with children.
/// Zeroed. Large ones lie on huge pages if the system has some to spare: explicit ones (vm.nr_hugepages), else
/// transparent ones, else ordinary pages.
class LockedPages {
  public:
    static tl::expected<LockedPages, Error> make(std::size_t bytes);

    LockedPages() = default;
    LockedPages(LockedPages&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)),
          mapped_(std::exchange(other.mapped_, 0)), explicit_huge_(other.explicit_huge_) {}
    LockedPages& operator=(LockedPages&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(bytes_, other.bytes_);
        std::swap(mapped_, other.mapped_);
        std::swap(explicit_huge_, other.explicit_huge_);
        return *this;
    }
    ~LockedPages();

    /// As much as was asked for, rounded up to 4096.
    std::span<std::byte> span() const { return {base_, bytes_}; }

    std::string describe() const;

  private:
    std::byte* base_ = nullptr;
    std::size_t bytes_ = 0;
    std::size_t mapped_ = 0;
    bool explicit_huge_ = false;
};

/// How much of a mapping lies on huge pages, as the kernel says (/proc/self/smaps).
std::string describe_mapping(const void* base, std::size_t bytes);

} // namespace rdma_paxos
