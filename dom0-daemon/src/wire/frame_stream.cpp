// SPDX-License-Identifier: Apache-2.0
#include "wire/frame_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace tripod::wire {

namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<StreamError> broken(StreamFault fault, std::string message) {
    return tl::unexpected<StreamError>(StreamError{fault, std::move(message)});
}

tl::unexpected<StreamError> io_error(const char* what) {
    return broken(StreamFault::io, fmt::format("{}: {}", what, std::strerror(errno)));
}

std::optional<Clock::time_point> deadline_of(FrameStream::Timeout timeout) {
    return timeout ? std::optional(Clock::now() + *timeout) : std::nullopt;
}

// False: the deadline has passed.
bool wait_for(int fd, short events, const std::optional<Clock::time_point>& deadline) {
    for (;;) {
        int wait_ms = -1;
        if (deadline) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
            if (left <= 0)
                return false;
            wait_ms = static_cast<int>(std::min<long>(left, 60000));
        }
        pollfd p{fd, events, 0};
        // An error shows again, with its errno, in the read or write that follows.
        if (const int n = poll(&p, 1, wait_ms); n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

} // namespace

FrameStream::FrameStream(UniqueFd socket, Channel receives) : socket_(std::move(socket)), decoder_(receives) {
    const int flags = fcntl(socket_.get(), F_GETFL);
    fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
}

tl::expected<Frame, StreamError> FrameStream::receive(Timeout timeout) {
    const auto deadline = deadline_of(timeout);
    for (;;) {
        auto got = decoder_.feed(unread_);
        if (!got)
            return broken(StreamFault::malformed, got.error().message);
        if (got->has_value())
            return std::move(**got);

        if (buffer_.empty())
            buffer_.resize(64 * 1024);
        const ssize_t n = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
        if (n > 0) {
            unread_ = std::span(buffer_).first(static_cast<std::size_t>(n));
        } else if (n == 0) {
            return decoder_.idle() ? broken(StreamFault::closed, "the other side closed the connection")
                                   : broken(StreamFault::truncated, "the connection ended within a frame");
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(socket_.get(), POLLIN, deadline))
                return broken(StreamFault::timed_out, "no frame came in time");
        } else if (errno != EINTR) {
            return io_error("receive");
        }
    }
}

tl::expected<void, StreamError> FrameStream::send(FrameType type, std::uint64_t tag,
                                                  std::span<const std::byte> body, Timeout timeout) {
    const auto deadline = deadline_of(timeout);
    FrameHeader header = encode_header(type, tag, body);
    std::size_t sent = 0;
    while (sent < frame_header_bytes + body.size()) {
        iovec parts[2];
        std::size_t count = 0;
        if (sent < frame_header_bytes)
            parts[count++] = {header.bytes + sent, frame_header_bytes - sent};
        const std::size_t body_sent = sent > frame_header_bytes ? sent - frame_header_bytes : 0;
        if (body_sent < body.size())
            parts[count++] = {const_cast<std::byte*>(body.data()) + body_sent, body.size() - body_sent};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = count;
        const ssize_t n = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += static_cast<std::size_t>(n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(socket_.get(), POLLOUT, deadline))
                return broken(StreamFault::timed_out, "the other side does not read");
        } else if (errno != EINTR) {
            return io_error("send");
        }
    }
    return {};
}

tl::expected<void, StreamError> FrameStream::send(FrameType type, std::uint64_t tag, std::string_view body,
                                                  Timeout timeout) {
    return send(type, tag, std::as_bytes(std::span(body)), timeout);
}

bool FrameStream::peer_gone() const {
    pollfd p{socket_.get(), POLLRDHUP, 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

void FrameStream::shut_down() {
    shutdown(socket_.get(), SHUT_RDWR);
}

} // namespace tripod::wire
