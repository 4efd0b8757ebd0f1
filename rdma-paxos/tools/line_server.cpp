// SPDX-License-Identifier: Apache-2.0
#include "../tools/line_server.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

namespace rdma_paxos::tools {

namespace {

constexpr std::size_t line_max = 4096;
constexpr char rendezvous_magic[] = {'R', 'P', 'R', 'V'};

Error failed(const std::string& what) {
    return {fmt::format("{}: {}", what, std::strerror(errno))};
}

} // namespace

struct LineServer::Connection {
    explicit Connection(int descriptor) : fd(descriptor) {}
    ~Connection() {
        if (fd >= 0)
            ::close(fd);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    int fd;
    bool told_apart = false; ///< not the rendezvous's
    std::string in, out;
    std::optional<std::string> line; ///< whose attachment is not complete
    std::size_t missing = 0;         ///< size of that attachment
};

LineServer::LineServer(int listener, std::uint16_t port, TcpRendezvousHub* hub)
    : listener_(listener), port_(port), hub_(hub) {}

LineServer::~LineServer() {
    ::close(listener_);
}

tl::expected<std::unique_ptr<LineServer>, Error> LineServer::listen(const TcpAddress& address,
                                                                    TcpRendezvousHub* hub) {
    const std::string name = fmt::format("listening at {}:{}", address.host, address.port);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(address.port);
    if (inet_pton(AF_INET, address.host.c_str(), &where.sin_addr) != 1)
        return tl::make_unexpected(Error{name + ": not an IPv4 address"});
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return tl::make_unexpected(failed(name));
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t size = sizeof where;
    if (bind(fd, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::listen(fd, 64) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
        const Error error = failed(name);
        ::close(fd);
        return tl::make_unexpected(error);
    }
    return std::unique_ptr<LineServer>(new LineServer(fd, ntohs(where.sin_port), hub));
}

void LineServer::add_fds(std::vector<pollfd>& fds) const {
    fds.push_back({listener_, POLLIN, 0});
    for (const auto& [id, connection] : connections_)
        fds.push_back({connection->fd, static_cast<short>(connection->out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
}

std::vector<LineServer::Request> LineServer::poll() {
    for (int fd = 0; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections_.emplace(++last_, std::make_unique<Connection>(fd));
    }
    std::vector<Request> requests;
    std::erase_if(connections_, [&](auto& entry) { return !serve(entry.first, *entry.second, requests); });
    return requests;
}

bool LineServer::serve(ConnectionId id, Connection& connection, std::vector<Request>& requests) {
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t got = recv(connection.fd, buffer.data(), buffer.size(), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got < 0)
            break;
        connection.in.append(buffer.data(), static_cast<std::size_t>(got));
    }
    if (!connection.told_apart) {
        const std::size_t seen = std::min(connection.in.size(), sizeof rendezvous_magic);
        if (hub_ && std::memcmp(connection.in.data(), rendezvous_magic, seen) == 0) {
            if (seen < sizeof rendezvous_magic)
                return true;
            hub_->adopt(std::exchange(connection.fd, -1), std::as_bytes(std::span(connection.in)));
            return false;
        }
        connection.told_apart = true;
    }
    for (;;) {
        if (connection.line) {
            if (connection.in.size() < connection.missing)
                break;
            const auto bytes = std::as_bytes(std::span(connection.in).first(connection.missing));
            requests.push_back({id, *std::exchange(connection.line, std::nullopt), {bytes.begin(), bytes.end()}});
            connection.in.erase(0, connection.missing);
        }
        const std::size_t end = connection.in.find('\n');
        if (end == std::string::npos) {
            if (connection.in.size() > line_max)
                return false;
            break;
        }
        connection.line = connection.in.substr(0, end);
        connection.in.erase(0, end + 1);
        connection.missing = attachment_size ? attachment_size(*connection.line) : 0;
        if (connection.missing > attachment_max)
            return false;
    }
    return flush(connection);
}

bool LineServer::flush(Connection& connection) {
    while (!connection.out.empty()) {
        const ssize_t sent = send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        connection.out.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
}

void LineServer::answer(ConnectionId id, const std::string& line) {
    const auto found = connections_.find(id);
    if (found == connections_.end())
        return;
    found->second->out += line + "\n";
    (void)flush(*found->second); // a connection that broke is noticed by the next poll()
}

} // namespace rdma_paxos::tools
