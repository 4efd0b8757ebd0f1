// SPDX-License-Identifier: Apache-2.0
//
// Takes a fuzzer's bytes as a row of decisions. Checksums keep random bytes from ever getting past the first check,
// so the targets begin with something valid, change what the input says, and set the checks right again.
#pragma once

#include "rdma_paxos/types.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace rdma_paxos::fuzz {

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const std::byte*>(data), size) {}

    bool empty() const { return left_.empty(); }
    template <class Number>
    Number take() {
        Number number = 0;
        const Bytes bytes = take_bytes(sizeof number);
        if (!bytes.empty())
            std::memcpy(&number, bytes.data(), bytes.size());
        return number;
    }
    Bytes take_bytes(std::size_t size) {
        const Bytes bytes = left_.first(std::min(size, left_.size()));
        left_ = left_.subspan(bytes.size());
        return bytes;
    }
    /// Overwrites a piece of `image` where the input says, with what it says.
    std::size_t edit(std::span<std::byte> image) {
        const std::size_t at = take<std::uint32_t>() % image.size();
        const Bytes bytes = take_bytes(take<std::uint8_t>() % 32u + 1u);
        const std::size_t size = std::min(bytes.size(), image.size() - at);
        if (size > 0)
            std::memcpy(image.data() + at, bytes.data(), size);
        return at;
    }

  private:
    Bytes left_;
};

inline void must(bool holds, const char* what) {
    if (holds)
        return;
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
}

} // namespace rdma_paxos::fuzz
