// SPDX-License-Identifier: Apache-2.0
//
// Every type of frame, the channel that carries it and the longest body it may have. One table, because a type
// without a limit must not exist. New types go here and into docs/wire-format.md; a number is never used for
// something else.
#pragma once

#include <cstdint>
#include <optional>

namespace tripod::wire {

// Which connection: a decoder refuses the other's types.
enum class Channel : std::uint8_t {
    local_request, // command to daemon, on the UNIX socket
    local_reply,   // daemon to command
    peer,          // between daemons, both directions
};

enum class FrameType : std::uint16_t {
    // local socket; JSON unless noted
    request = 1,     // {"op": …}; one per connection
    progress = 2,    // {"line": …}; any number before the answer
    result = 3,      // the answer; the last frame
    error = 4,       // {"code":, "message":, "remedy":}; the last frame
    trace_start = 5, // before the first records
    records = 6,     // raw: whole records
    trace_lost = 7,  // {"count": …}

    // between daemons; JSON unless noted
    peer_hello = 32,   // first frame in each direction: version, interface version, host
    peer_request = 33, // {"op": …}
    peer_reply = 34,   // answers a request with the same tag
    peer_error = 35,   // {"code":, "message":, "remedy":}: answers a request with the same tag
    peer_notice = 36,  // asks for no answer
    state_begin = 48,  // describes the stream that follows
    state_chunk = 49,  // raw: state_chunk_header of the sender's choice and compressed bytes
    state_end = 50,    // totals and digest of the whole stream
};

inline constexpr std::uint32_t json_body_max = 256 * 1024;
inline constexpr std::uint32_t request_body_max = 64 * 1024;
inline constexpr std::uint32_t result_body_max = 4 * 1024 * 1024; // a long list with its events
inline constexpr std::uint32_t records_body_max = 1024 * 1024;
inline constexpr std::uint32_t state_chunk_max = 4 * 1024 * 1024 + 64;

// The longest body that `channel` may carry in a frame of this type; nullopt: it does not carry that type.
std::optional<std::uint32_t> body_limit(Channel channel, std::uint16_t type);

} // namespace tripod::wire
