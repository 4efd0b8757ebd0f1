// SPDX-License-Identifier: Apache-2.0
#include "../tools/state_sender.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rdma_paxos::tools {

StateSender::StateSender(const TcpAddress& to, Bytes point, Bytes state, Nanoseconds deadline)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), deadline_(deadline),
      out_(fmt::format("install {} {}\n", point.size(), state.size())) {
    out_.append(reinterpret_cast<const char*>(point.data()), point.size());
    out_.append(reinterpret_cast<const char*>(state.data()), state.size());
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(to.port);
    inet_pton(AF_INET, to.host.c_str(), &where.sin_addr);
    // A refusal shows when the first byte is sent.
    (void)connect(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where);
}

StateSender::~StateSender() {
    if (fd_ >= 0)
        ::close(fd_);
}

std::optional<std::string> StateSender::poll(Nanoseconds now) {
    if (now > deadline_)
        return "no answer in time";
    while (!out_.empty()) {
        const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN || errno == EINTR))
            return std::nullopt;
        if (sent < 0)
            return std::strerror(errno);
        out_.erase(0, static_cast<std::size_t>(sent));
    }
    std::array<char, 256> buffer;
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got == 0)
        return "closed without an answer";
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? std::nullopt : std::optional<std::string>(std::strerror(errno));
    in_.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t end = in_.find('\n');
    return end == std::string::npos ? std::nullopt : std::optional(in_.substr(0, end));
}

} // namespace rdma_paxos::tools
