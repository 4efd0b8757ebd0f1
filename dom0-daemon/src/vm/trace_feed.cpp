// SPDX-License-Identifier: Apache-2.0
#include "vm/trace_feed.h"

#include <algorithm>
#include <cstring>

#include <public/tripod.h>

namespace tripod::vm {

void TraceFeed::put(std::span<const std::byte> record) {
    {
        const std::lock_guard lock(mutex_);
        if (closed_)
            return;
        // Once something was dropped, everything is until the queue is empty: the gap stays in one place.
        if (dropped_ != 0 || bytes_.size() + record.size() > bytes_max) {
            ++dropped_;
            return;
        }
        bytes_.insert(bytes_.end(), record.begin(), record.end());
    }
    arrived_.notify_one();
}

void TraceFeed::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    arrived_.notify_one();
}

TraceFeed::Taken TraceFeed::take(std::chrono::milliseconds timeout, size_t bytes_limit) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, timeout, [this] { return !bytes_.empty() || closed_; });
    Taken taken;
    if (bytes_.empty()) {
        // The gap comes after everything that was queued before it.
        taken.dropped = dropped_;
        dropped_ = 0;
        taken.closed = closed_;
        return taken;
    }
    size_t end = 0;
    while (end < bytes_.size()) {
        uint32_t size = 0;
        std::memcpy(&size, bytes_.data() + end, sizeof size);
        if (end != 0 && end + size > bytes_limit)
            break;
        end += size;
    }
    if (end == bytes_.size()) {
        taken.bytes.swap(bytes_);
    } else {
        taken.bytes.assign(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(end));
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(end));
    }
    return taken;
}

} // namespace tripod::vm
