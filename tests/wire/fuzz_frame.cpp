// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target for everything that reads hostile bytes at the daemon's edge: frames, requests and records.
// `make fuzz-frame`
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "control/request.h"
#include "record/format.h"
#include "wire/frame.h"

using namespace tripod;

namespace {

std::size_t decode(wire::Channel channel, std::span<const std::byte> bytes, std::size_t piece) {
    wire::FrameDecoder decoder(channel);
    std::size_t frames = 0;
    while (!bytes.empty()) {
        auto part = bytes.first(std::min(piece, bytes.size()));
        bytes = bytes.subspan(part.size());
        while (!part.empty()) {
            auto got = decoder.feed(part);
            if (!got)
                return frames;
            frames += got->has_value();
            if (decoder.buffered() > wire::frame_header_bytes + wire::state_chunk_max)
                std::abort();
        }
    }
    return frames;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    if (bytes.empty())
        return 0;
    const std::size_t piece = 1 + data[0] % 64;
    for (wire::Channel channel : {wire::Channel::local_request, wire::Channel::local_reply, wire::Channel::peer})
        if (decode(channel, bytes, piece) != decode(channel, bytes, bytes.size()))
            std::abort(); // what is understood must not depend on how the bytes arrive

    // Past the checksum: whatever a frame may carry.
    const auto frame = wire::encode_frame(wire::FrameType::state_chunk, 0, bytes);
    if (decode(wire::Channel::peer, frame, piece) != 1)
        std::abort();
    (void)control::request_from({reinterpret_cast<const char*>(data), size});
    record::RecordReader reader(bytes);
    for (auto next = reader.next(); next && *next; next = reader.next()) {
        (void)record::format_record(**next, {});
        (void)record::format_record_json(**next, {});
    }
    return 0;
}
