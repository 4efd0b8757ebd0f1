// SPDX-License-Identifier: Apache-2.0
//
// The frames that host-exec (on the lab machine) and host-agent (in a host's dom0) exchange over one TCP
// connection, which stands for one command. Both ends are built together and run on the same architecture; the link
// is the lab's own, so a malformed frame is a bug and ends the connection.
//
//   byte 0     type (FrameType)
//   bytes 1-4  length of the body in bytes, little endian, at most frame_body_bytes_max
//   then       the body
//
// The client sends argument frames, then run, then input frames (an empty one is end of file). The agent sends
// output and errors as they come and ends with status. If the client goes away, the command is killed.
//
// A clock frame instead of a command is answered by a clock frame: any number of times, then the client hangs up.
// The question is empty, or how much to add to the host's clock first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lab {

enum class FrameType : std::uint8_t {
    argument = 'a', // one word of the command
    run = 'r',      // the command is complete; empty body
    input = 'i',    // bytes for its standard input
    output = 'o',   // bytes of its standard output
    errors = 'e',   // bytes of its standard error
    clock = 'c',    // the host's CLOCK_REALTIME in ns, in decimal digits
    status = 's',   // one byte: its exit status, or 128 + the number of the signal that ended it
};

inline constexpr std::size_t frame_body_bytes_max = 1 << 16;
inline constexpr std::uint16_t agent_port = 7;

struct Frame {
    FrameType type{};
    std::string body;
};

// Both block, retry on EINTR, and return false when the connection has ended or failed.
bool send_frame(int fd, FrameType type, std::span<const char> body);
bool receive_frame(int fd, Frame& frame);

// Writes all of `bytes` to fd, whatever it is; false on error.
bool write_all(int fd, std::span<const char> bytes);

} // namespace lab
