// SPDX-License-Identifier: Apache-2.0
#include "xen/replay_ring.h"

#include <atomic>
#include <cstring>

namespace tripod::xen {

ReplayRing::ReplayRing(tripod_control& control, std::span<std::byte> ring)
    : control_(control), ring_(ring), prod_(control.replay_prod) {}

bool ReplayRing::append(std::span<const std::byte> record) {
    const uint64_t cons = std::atomic_ref(control_.replay_cons).load(std::memory_order_acquire);
    const size_t free_bytes = ring_.size() - static_cast<size_t>(prod_ - cons);
    const size_t offset = prod_ & (ring_.size() - 1);
    const size_t to_end = ring_.size() - offset;
    // A record never straddles the end; what it leaves there becomes a pad, of which only 8 bytes may exist.
    const size_t pad_bytes = record.size() <= to_end ? 0 : to_end;
    if (pad_bytes + record.size() > free_bytes)
        return false;
    if (pad_bytes != 0) {
        const struct {
            uint32_t size;
            uint16_t type, nr;
        } pad = {static_cast<uint32_t>(pad_bytes), TRIPOD_REC_pad, 0};
        std::memcpy(ring_.data() + offset, &pad, sizeof pad);
    }
    std::memcpy(ring_.data() + (pad_bytes != 0 ? 0 : offset), record.data(), record.size());
    prod_ += pad_bytes + record.size();
    std::atomic_ref(control_.replay_prod).store(prod_, std::memory_order_release);
    return true;
}

bool ReplayRing::drained() const {
    return std::atomic_ref(control_.replay_cons).load(std::memory_order_acquire) == prod_;
}

} // namespace tripod::xen
