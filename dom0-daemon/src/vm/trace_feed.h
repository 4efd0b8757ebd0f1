// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of records from a replication thread to one trace; what does not fit is counted, not waited for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace tripod::vm {

class TraceFeed {
  public:
    static constexpr size_t bytes_max = 8 * 1024 * 1024;

    // The replication thread: never blocks.
    void put(std::span<const std::byte> record);
    // The feed gets no more; take() returns what is left.
    void close();

    struct Taken {
        uint64_t dropped = 0;         // at this place; then `bytes` is empty
        std::vector<std::byte> bytes; // whole records
        bool closed = false;
    };
    // Waits at most `timeout` for something to take; at most `bytes_limit` bytes, but at least one record.
    Taken take(std::chrono::milliseconds timeout, size_t bytes_limit);

  private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::vector<std::byte> bytes_;
    uint64_t dropped_ = 0;
    bool closed_ = false;
};

} // namespace tripod::vm
