// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/socket.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace rdma_paxos {

namespace {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

tl::expected<SocketAddress, Error> parse(const TcpAddress& address) {
    SocketAddress parsed;
    if (auto* v4 = reinterpret_cast<sockaddr_in*>(&parsed.storage);
        inet_pton(AF_INET, address.host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address.port);
        parsed.length = sizeof *v4;
        return parsed;
    }
    if (auto* v6 = reinterpret_cast<sockaddr_in6*>(&parsed.storage);
        inet_pton(AF_INET6, address.host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address.port);
        parsed.length = sizeof *v6;
        return parsed;
    }
    return tl::make_unexpected(Error{fmt::format("\"{}\" is not a numeric address", address.host)});
}

tl::unexpected<Error> failed(const char* call, const TcpAddress& address) {
    return tl::make_unexpected(
        Error{fmt::format("{} {} port {}: {}", call, address.host, address.port, std::strerror(errno))});
}

} // namespace

tl::expected<OwnedFd, Error> listen_at(const TcpAddress& address) {
    const auto where = parse(address);
    if (!where)
        return tl::make_unexpected(where.error());
    OwnedFd fd(socket(where->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd.get(), where->get(), where->length) != 0 || listen(fd.get(), 64) != 0)
        return failed("listen at", address);
    return fd;
}

std::uint16_t local_port(int fd) {
    SocketAddress address;
    address.length = sizeof address.storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
        return 0;
    if (address.storage.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port);
    return ntohs(reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port);
}

tl::expected<OwnedFd, Error> start_dialling(const TcpAddress& address) {
    const auto where = parse(address);
    if (!where)
        return tl::make_unexpected(where.error());
    OwnedFd fd(socket(where->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return failed("dial", address);
    prepare_stream(fd.get());
    if (connect(fd.get(), where->get(), where->length) != 0 && errno != EINPROGRESS)
        return failed("dial", address);
    return fd;
}

OwnedFd accept_one(int listener) {
    OwnedFd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd)
        prepare_stream(fd.get());
    return fd;
}

void prepare_stream(int fd) {
    const int on = 1;
    const unsigned int timeout_ms = 3000; // a host that died takes its connections with it; dial anew soon
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

std::string to_string(const TcpAddress& address) {
    const bool v6 = address.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", address.host, v6 ? "]" : "", address.port);
}

TcpAddress remote_address(int fd) {
    SocketAddress address;
    address.length = sizeof address.storage;
    char host[INET6_ADDRSTRLEN] = {};
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
        return {"?", 0};
    if (const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage); v4->sin_family == AF_INET)
        return {inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host), ntohs(v4->sin_port)};
    if (const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage); v6->sin6_family == AF_INET6)
        return {inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host), ntohs(v6->sin6_port)};
    return {"?", 0};
}

SocketState send_some(int fd, Bytes bytes, std::size_t& sent) {
    const ssize_t result = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    sent = result > 0 ? static_cast<std::size_t>(result) : 0;
    if (result >= 0)
        return SocketState::ready;
    return errno == EAGAIN || errno == EINTR || errno == EINPROGRESS || errno == ENOTCONN ? SocketState::would_block
                                                                                          : SocketState::broken;
}

SocketState receive_some(int fd, std::span<std::byte> into, std::size_t& received) {
    const ssize_t result = recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    received = result > 0 ? static_cast<std::size_t>(result) : 0;
    if (result > 0)
        return SocketState::ready;
    if (result == 0)
        return SocketState::broken;
    return errno == EAGAIN || errno == EINTR || errno == EINPROGRESS || errno == ENOTCONN ? SocketState::would_block
                                                                                          : SocketState::broken;
}

} // namespace rdma_paxos
