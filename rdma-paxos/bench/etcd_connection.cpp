// SPDX-License-Identifier: Apache-2.0
#include "../bench/etcd_connection.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace rdma_paxos::bench {

namespace {

enum Type : std::uint8_t {
    data = 0,
    headers = 1,
    reset_stream = 3,
    settings = 4,
    ping_frame = 6,
    go_away = 7,
    window_update = 8,
};
constexpr std::uint8_t end_stream = 1, ack = 1, end_headers = 4;
constexpr std::size_t frame_header = 9;
constexpr std::size_t frame_max = 16384; ///< what every peer takes

std::string number32(std::uint32_t value) {
    const std::uint32_t wire = htonl(value);
    return {reinterpret_cast<const char*>(&wire), sizeof wire};
}

std::uint32_t read32(std::string_view bytes) {
    std::uint32_t wire = 0;
    std::memcpy(&wire, bytes.data(), sizeof wire);
    return ntohl(wire);
}

std::string frame(Type type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
    std::string text = number32(static_cast<std::uint32_t>(payload.size())).substr(1);
    text += static_cast<char>(type);
    text += static_cast<char>(flags);
    return text + number32(stream).append(payload);
}

/// A header field as a literal: name by its number in HPACK's static table, or by itself.
std::string literal(std::string_view name_code, std::string_view value) {
    return std::string(name_code) + static_cast<char>(value.size()) + std::string(value);
}

/// A field of length-delimited type in a protocol buffer.
std::string field(int number, std::string_view value) {
    std::string text(1, static_cast<char>(number << 3 | 2));
    for (std::size_t left = value.size();; left >>= 7) {
        text += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        if (left <= 0x7f)
            break;
    }
    return text.append(value);
}

auto failed(const std::string& what) {
    return tl::make_unexpected(Error{"etcd: " + what});
}

} // namespace

tl::expected<EtcdConnection, Error> EtcdConnection::open(const std::string& host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
        return failed(host + " is no numeric address");
    EtcdConnection made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int one = 1;
    setsockopt(made.fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return failed(fmt::format("connect to {}:{}: {}", host, port, std::strerror(errno)));
    const std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, {}) +
                              frame(window_update, 0, 0, number32(1u << 30));
    if (auto sent = made.send_all(hello); !sent)
        return tl::make_unexpected(sent.error());
    return made;
}

EtcdConnection::EtcdConnection(EtcdConnection&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), stream_(other.stream_), next_stream_(other.next_stream_),
      answered_(other.answered_), window_(other.window_), body_(std::move(other.body_)),
      received_(std::move(other.received_)) {}

EtcdConnection::~EtcdConnection() {
    if (fd_ >= 0)
        close(fd_);
}

tl::expected<void, Error> EtcdConnection::send_all(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0)
            return failed(fmt::format("send: {}", std::strerror(errno)));
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

tl::expected<void, Error> EtcdConnection::put(std::string_view key, std::string_view value) {
    return call("/etcdserverpb.KV/Put", field(1, key) + field(2, value));
}

tl::expected<void, Error> EtcdConnection::check() {
    return call("/grpc.health.v1.Health/Check", {});
}

tl::expected<void, Error> EtcdConnection::call(std::string_view path, std::string_view message) {
    stream_ = std::exchange(next_stream_, next_stream_ + 2);
    answered_ = false;
    const std::string fields = "\x83\x86" + literal("\x04", path) + literal("\x01", "etcd") +
                               literal("\x0f\x10", "application/grpc") + std::string(1, '\0') +
                               literal("\x02te", "trailers");
    body_ = (std::string(1, '\0') + number32(static_cast<std::uint32_t>(message.size()))).append(message);
    const std::string begin = frame(headers, end_headers, stream_, fields);
    // One packet where that is possible.
    if (body_.size() <= frame_max && window_ >= static_cast<std::int64_t>(body_.size())) {
        window_ -= static_cast<std::int64_t>(body_.size());
        return send_all(begin + frame(data, end_stream, stream_, std::exchange(body_, {})));
    }
    if (auto sent = send_all(begin); !sent)
        return sent;
    return send_body();
}

tl::expected<void, Error> EtcdConnection::send_body() {
    while (!body_.empty() && window_ > 0) {
        const std::size_t count = std::min({body_.size(), frame_max, static_cast<std::size_t>(window_)});
        const bool last = count == body_.size();
        if (auto sent = send_all(frame(data, last ? end_stream : 0, stream_, body_.substr(0, count))); !sent)
            return sent;
        body_.erase(0, count);
        window_ -= static_cast<std::int64_t>(count);
    }
    return {};
}

tl::expected<bool, Error> EtcdConnection::finished() {
    char buffer[65536];
    const ssize_t count = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (count <= 0)
        return failed("the connection was closed");
    received_.append(buffer, static_cast<std::size_t>(count));
    bool done = false;
    std::size_t at = 0;
    for (std::size_t length = 0; received_.size() - at >= frame_header; at += frame_header + length) {
        const std::string_view rest = std::string_view(received_).substr(at);
        length = read32(rest) >> 8;
        if (rest.size() < frame_header + length)
            break;
        auto taken = take(static_cast<std::uint8_t>(rest[3]), static_cast<std::uint8_t>(rest[4]),
                          read32(rest.substr(5)) & 0x7fffffff, rest.substr(frame_header, length));
        if (!taken)
            return taken;
        done |= *taken;
    }
    received_.erase(0, at);
    return done;
}

tl::expected<bool, Error> EtcdConnection::take(unsigned type, unsigned flags, std::uint32_t stream,
                                               std::string_view payload) {
    switch (type) {
    case settings:
        if (!(flags & ack))
            if (auto sent = send_all(frame(settings, ack, 0, {})); !sent)
                return tl::make_unexpected(sent.error());
        return false;
    case ping_frame:
        if (flags & ack)
            return false;
        if (auto sent = send_all(frame(ping_frame, ack, 0, payload)); !sent)
            return tl::make_unexpected(sent.error());
        return false;
    case window_update:
        if (stream == 0 && payload.size() == 4)
            window_ += read32(payload);
        if (auto sent = send_body(); !sent)
            return tl::make_unexpected(sent.error());
        return false;
    case go_away:
    case reset_stream:
        return failed(fmt::format("refused (frame type {}, {})", type,
                                  payload.substr(std::min(payload.size(), std::size_t{8}))));
    case data:
        answered_ |= stream == stream_ && !payload.empty();
        break;
    default:
        break;
    }
    if (stream != stream_ || stream == 0 || (type != data && type != headers) || !(flags & end_stream))
        return false;
    if (!answered_)
        return failed("the put failed");
    return true;
}

} // namespace rdma_paxos::bench
