// SPDX-License-Identifier: Apache-2.0
//
// A TCP server of lines, on one port with the rendezvous: what begins with "RPRV" is the rendezvous's, the rest is
// lines of text, each of which gets a line as its answer, sooner or later and in any order that the user likes. A
// line may announce bytes that follow it.
//
// Threading: one thread. Nothing blocks.
#pragma once

#include "rdma_paxos/tcp_rendezvous.h"

#include <functional>
#include <map>
#include <memory>
#include <poll.h>
#include <string>
#include <vector>

namespace rdma_paxos::tools {

using ConnectionId = std::uint64_t;

class LineServer {
  public:
    struct Request {
        ConnectionId connection = 0;
        std::string line;
        std::vector<std::byte> attachment; ///< as many bytes as attachment_size() said
    };

    /// `hub` may be null; then "RPRV" is a line like any other.
    static tl::expected<std::unique_ptr<LineServer>, Error> listen(const TcpAddress& address,
                                                                   TcpRendezvousHub* hub);
    ~LineServer();
    LineServer(const LineServer&) = delete;
    LineServer& operator=(const LineServer&) = delete;

    /// How many bytes follow this line. Refused above attachment_max: that connection is closed.
    std::function<std::size_t(const std::string& line)> attachment_size;
    static constexpr std::size_t attachment_max = 64u << 20;

    void add_fds(std::vector<pollfd>& fds) const;
    /// Accepts, reads, writes as far as possible; returns the requests that are complete.
    std::vector<Request> poll();
    /// Nothing happens if that connection is gone.
    void answer(ConnectionId connection, const std::string& line);
    std::uint16_t port() const { return port_; }

  private:
    struct Connection;
    LineServer(int listener, std::uint16_t port, TcpRendezvousHub* hub);
    bool serve(ConnectionId id, Connection& connection, std::vector<Request>& requests);
    static bool flush(Connection& connection);

    int listener_;
    std::uint16_t port_;
    TcpRendezvousHub* hub_;
    ConnectionId last_ = 0;
    std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
};

} // namespace rdma_paxos::tools
