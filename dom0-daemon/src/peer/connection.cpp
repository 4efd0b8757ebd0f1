// SPDX-License-Identifier: Apache-2.0
#include "peer/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace tripod::peer {

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t read_bytes = 256 * 1024;
constexpr Milliseconds cancel_interval{500};

// Waits until `fd` is ready for `events`; false when `until` has come first.
bool wait_ready(int fd, short events, Clock::time_point until) {
    while (true) {
        const auto left = std::chrono::ceil<Milliseconds>(until - Clock::now());
        if (left.count() <= 0)
            return false;
        pollfd ready{fd, events, 0};
        const int count = poll(&ready, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
        if (count > 0)
            return true;
        if (count < 0 && errno != EINTR)
            return true; // the call that follows will tell
    }
}

std::string numeric(const sockaddr_storage& address, socklen_t length) {
    char host[NI_MAXHOST] = "";
    getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    return host;
}

void tune(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

} // namespace

Connection::Connection(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {
    fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
    tune(fd_.get());
    buffer_.resize(read_bytes);
}

Result<Connection> Connection::dial(const std::string& address, uint16_t port, std::string name,
                                    Milliseconds timeout) {
    const auto unreachable = [&](const std::string& why) {
        return fail(ErrorCode::backup_unreachable, "cannot reach " + name + ": " + why,
                    "check the host's name and network, \"peers\" in tripod.conf, and that tripodd runs there");
    };
    const auto until = Clock::now() + timeout;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (int rc = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); rc != 0)
        return unreachable(address + ": " + gai_strerror(rc));
    std::string why = "no address";
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        UniqueFd fd(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd)
            continue;
        int error = connect(fd.get(), at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
        if (error == EINPROGRESS) {
            if (!wait_ready(fd.get(), POLLOUT, until))
                error = ETIMEDOUT;
            else {
                socklen_t length = sizeof error;
                getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
            }
        }
        if (error == 0) {
            freeaddrinfo(found);
            return Connection(std::move(fd), std::move(name));
        }
        why = address + " port " + std::to_string(port) + ": " + std::strerror(error);
    }
    freeaddrinfo(found);
    return unreachable(why);
}

Result<void> Connection::send(wire::FrameType type, uint64_t tag, std::string_view body, Milliseconds timeout) {
    return send(type, tag, std::as_bytes(std::span(body.data(), body.size())), timeout);
}

Result<void> Connection::send(wire::FrameType type, uint64_t tag, std::span<const std::byte> body,
                              Milliseconds timeout) {
    wire::FrameHeader header = wire::encode_header(type, tag, body);
    iovec parts[2] = {{header.bytes, sizeof header.bytes}, {const_cast<std::byte*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    auto until = Clock::now() + timeout;
    while (parts[0].iov_len + parts[1].iov_len != 0) {
        const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
        if (sent > 0) {
            auto left = static_cast<size_t>(sent);
            for (iovec& part : parts) {
                const size_t step = std::min(left, part.iov_len);
                part.iov_base = static_cast<char*>(part.iov_base) + step;
                part.iov_len -= step;
                left -= step;
            }
            until = Clock::now() + timeout;
        } else if (sent < 0 && errno == EINTR) {
            continue;
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!wait_ready(fd_.get(), POLLOUT, until))
                return fail(ErrorCode::backup_unreachable, name_ + " takes no more data");
        } else {
            return fail(ErrorCode::backup_unreachable, "connection to " + name_ + " lost: " + std::strerror(errno));
        }
    }
    return {};
}

Result<wire::Frame> Connection::receive(Milliseconds timeout, const Cancelled& cancelled) {
    const auto until = Clock::now() + timeout;
    while (true) {
        if (begin_ != end_) {
            auto rest = std::span<const std::byte>(buffer_).subspan(begin_, end_ - begin_);
            auto frame = decoder_.feed(rest);
            begin_ = end_ - rest.size();
            if (!frame)
                return fail(ErrorCode::protocol, name_ + " does not speak our protocol: " + frame.error().message);
            if (*frame)
                return std::move(**frame);
        }
        if (begin_ == end_)
            begin_ = end_ = 0;
        if (cancelled && cancelled())
            return fail(ErrorCode::cancelled, "cancelled");
        const auto now = Clock::now();
        if (now >= until)
            return fail(ErrorCode::timed_out, name_ + " did not answer in time");
        if (!wait_ready(fd_.get(), POLLIN, cancelled ? std::min(until, now + cancel_interval) : until))
            continue;
        const ssize_t got = recv(fd_.get(), buffer_.data() + end_, buffer_.size() - end_, 0);
        if (got > 0)
            end_ += static_cast<size_t>(got);
        else if (got == 0)
            return fail(ErrorCode::backup_unreachable, name_ + " closed the connection");
        else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            return fail(ErrorCode::backup_unreachable, "connection to " + name_ + " lost: " + std::strerror(errno));
    }
}

std::string Connection::local_address() const {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return numeric(address, length);
}

std::string Connection::remote_address() const {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return numeric(address, length);
}

void Connection::shut_down() {
    shutdown(fd_.get(), SHUT_RDWR);
}

} // namespace tripod::peer
