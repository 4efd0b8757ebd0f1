// SPDX-License-Identifier: Apache-2.0
//
// Xen's side of the shared pages, played by the test: it logs records and applies them, with its own copy of the
// rules.
#pragma once

#include <cstring>
#include <vector>

#include "../record_builder.h"
#include "gate/gate.h"
#include "public/tripod.h"
#include "xen/event_channel.h"
#include "xen/shared_pages.h"

namespace tripod::testing {

struct FakePages {
    explicit FakePages(size_t ring_bytes) : record(ring_bytes), replay(ring_bytes) {
        control.magic = TRIPOD_CONTROL_MAGIC;
        control.ring_bytes = static_cast<uint32_t>(ring_bytes);
    }
    xen::SharedMemory memory() { return {&control, record, replay}; }

    // As Xen logs a record: pad to the end if it does not fit there. False: the ring is full.
    bool log(const std::vector<std::byte>& bytes) {
        const size_t offset = control.record_prod % record.size(), to_end = record.size() - offset;
        const size_t pad = bytes.size() <= to_end ? 0 : to_end;
        if (control.record_prod + pad + bytes.size() - control.record_cons > record.size()) {
            control.waits |= TRIPOD_WAIT_space;
            return false;
        }
        if (pad != 0) {
            const uint32_t size = static_cast<uint32_t>(pad);
            const uint16_t type = TRIPOD_REC_pad;
            std::memcpy(record.data() + offset, &size, 4);
            std::memcpy(record.data() + offset + 4, &type, 2);
        }
        std::memcpy(record.data() + (pad != 0 ? 0 : offset), bytes.data(), bytes.size());
        control.record_prod += pad + bytes.size();
        ++control.record_seq;
        return true;
    }

    // As Xen applies the next record of the replay ring; empty: there is none.
    std::vector<std::byte> apply() {
        while (control.replay_cons != control.replay_prod) {
            const size_t offset = control.replay_cons % replay.size();
            uint32_t size = 0;
            uint16_t type = 0;
            std::memcpy(&size, replay.data() + offset, 4);
            std::memcpy(&type, replay.data() + offset + 4, 2);
            control.replay_cons += size;
            if (type == TRIPOD_REC_pad)
                continue;
            ++control.replay_seq;
            return {replay.data() + offset, replay.data() + offset + size};
        }
        return {};
    }

    tripod_control control{};
    std::vector<std::byte> record, replay;
};

struct FakeChannel final : xen::EventChannel {
    int fd() const override { return -1; }
    void acknowledge() override {}
    void kick() override { ++kicks; }
    int kicks = 0;
};

// The guest's frames and what becomes of them, played by the test.
struct FakeGate final : gate::Gate {
    int fd() const override { return -1; }
    uint64_t collect() override { return arrived; }
    bool release(uint64_t frame, gate::Nanoseconds deadline) override {
        if (clock >= deadline)
            return false;
        left = frame;
        ++releases;
        return true;
    }
    void discard() override { discarded = true; }

    uint64_t arrived = 0, left = 0; // numbers of the newest frames
    int releases = 0;
    bool discarded = false;
    gate::Nanoseconds clock{}; // as it is read in the last moment
};

// A read of `payload_bytes` bytes, numbered.
inline std::vector<std::byte> numbered_read(uint64_t seq, size_t payload_bytes) {
    RecordBuilder builder(0 /* read */, TRIPOD_CLASS_input, 7, static_cast<int64_t>(payload_bytes));
    builder.segment(TRIPOD_SEG_arg, 1, std::string(payload_bytes, static_cast<char>('a' + seq % 26)));
    builder.header.seq = seq;
    return builder.build();
}

} // namespace tripod::testing
