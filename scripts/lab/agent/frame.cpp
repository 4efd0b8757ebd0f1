// SPDX-License-Identifier: Apache-2.0
#include "frame.hpp"

#include <array>
#include <cerrno>
#include <unistd.h>

namespace lab {

namespace {

bool read_all(int fd, std::span<char> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = read(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return true;
}

} // namespace

bool write_all(int fd, std::span<const char> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return true;
}

bool send_frame(int fd, FrameType type, std::span<const char> body) {
    // One write for header and body: two would cost a round trip under Nagle's algorithm.
    std::string wire;
    wire.reserve(5 + body.size());
    wire.push_back(static_cast<char>(type));
    for (unsigned shift = 0; shift < 32; shift += 8)
        wire.push_back(static_cast<char>((body.size() >> shift) & 0xff));
    wire.append(body.data(), body.size());
    return write_all(fd, wire);
}

bool receive_frame(int fd, Frame& frame) {
    std::array<char, 5> header{};
    if (!read_all(fd, header))
        return false;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; i++)
        length |= static_cast<std::size_t>(static_cast<unsigned char>(header[1 + i])) << (8 * i);
    if (length > frame_body_bytes_max)
        return false;
    frame.type = static_cast<FrameType>(header[0]);
    frame.body.resize(length);
    return read_all(fd, frame.body);
}

} // namespace lab
