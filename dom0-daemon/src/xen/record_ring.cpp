// SPDX-License-Identifier: Apache-2.0
#include "xen/record_ring.h"

#include <atomic>
#include <cstring>

namespace tripod::xen {

namespace {

// A pad may be no longer than this: the part of a header that every record has.
constexpr size_t pad_header_bytes = 8;

struct Head {
    uint32_t size;
    uint16_t type;
    uint16_t nr;
};
static_assert(sizeof(Head) == pad_header_bytes);

} // namespace

RecordRing::RecordRing(tripod_control& control, std::span<const std::byte> ring)
    : control_(control), ring_(ring), released_(control.record_cons), read_(control.record_cons) {}

bool RecordRing::pending() const {
    return std::atomic_ref(control_.record_prod).load(std::memory_order_acquire) != read_;
}

RecordRing::Next RecordRing::next() {
    const uint64_t prod = std::atomic_ref(control_.record_prod).load(std::memory_order_acquire);
    while (read_ != prod) {
        const uint64_t filled = prod - read_;
        if (filled > ring_.size() || filled < pad_header_bytes)
            return {Status::corrupt, {}};
        const size_t offset = read_ & (ring_.size() - 1);
        const size_t to_end = ring_.size() - offset;
        Head head;
        std::memcpy(&head, ring_.data() + offset, sizeof head);
        if (head.size < pad_header_bytes || head.size % 8 != 0 || head.size > filled || head.size > to_end)
            return {Status::corrupt, {}};
        if (head.type == TRIPOD_REC_pad) {
            // A pad fills the ring's end, so anything else that calls itself a pad is a record gone wrong.
            if (head.size != to_end)
                return {Status::corrupt, {}};
            read_ += head.size;
            continue;
        }
        if (head.size < sizeof(tripod_record))
            return {Status::corrupt, {}};
        read_ += head.size;
        return {Status::record, ring_.subspan(offset, head.size)};
    }
    return {Status::empty, {}};
}

void RecordRing::release_to(uint64_t position) {
    released_ = position;
    std::atomic_ref(control_.record_cons).store(released_, std::memory_order_release);
}

} // namespace tripod::xen
