// SPDX-License-Identifier: Apache-2.0
#include "../tools/line_client.h"

#include <arpa/inet.h>
#include <cerrno>
#include <ctime>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rdma_paxos::tools {

namespace {

bool wait_for(int fd, short events, Nanoseconds deadline) {
    for (;;) {
        const Nanoseconds left = std::max(deadline - monotonic_now(), Nanoseconds(0));
        const timespec wait{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
        pollfd one{fd, events, 0};
        const int ready = ppoll(&one, 1, &wait, nullptr);
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

} // namespace

std::optional<TcpAddress> parse_address(const std::string& text) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos)
        return std::nullopt;
    const int port = std::atoi(text.c_str() + colon + 1);
    in_addr ignored{};
    TcpAddress address{text.substr(0, colon), static_cast<std::uint16_t>(port)};
    if (port < 1 || port > 65535 || inet_pton(AF_INET, address.host.c_str(), &ignored) != 1)
        return std::nullopt;
    return address;
}

std::unique_ptr<LineClient> LineClient::connect(const TcpAddress& address, Nanoseconds timeout) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &where.sin_addr);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return nullptr;
    std::unique_ptr<LineClient> client(new LineClient(fd));
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int error = 0;
    socklen_t size = sizeof error;
    const bool refused =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 && errno != EINPROGRESS;
    if (refused || !wait_for(fd, POLLOUT, monotonic_now() + timeout) ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        return nullptr;
    return client;
}

LineClient::~LineClient() {
    ::close(fd_);
}

std::optional<std::string> LineClient::ask(const std::string& line, Nanoseconds timeout) {
    const Nanoseconds deadline = monotonic_now() + timeout;
    const std::string request = line + "\n";
    if (send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
        return std::nullopt;
    for (;;) {
        if (const std::size_t end = in_.find('\n'); end != std::string::npos) {
            std::string answer = in_.substr(0, end);
            in_.erase(0, end + 1);
            return answer;
        }
        std::array<char, 4096> buffer;
        if (!wait_for(fd_, POLLIN, deadline))
            return std::nullopt;
        const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
        if (got <= 0)
            return std::nullopt;
        in_.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

} // namespace rdma_paxos::tools
