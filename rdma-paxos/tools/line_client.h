// SPDX-License-Identifier: Apache-2.0
//
// The other end of LineServer: asks one line, waits for one.
#pragma once

#include "rdma_paxos/clock.h"
#include "rdma_paxos/tcp_rendezvous.h"

#include <memory>
#include <optional>
#include <string>

namespace rdma_paxos::tools {

/// "ADDRESS:PORT", numeric IPv4.
std::optional<TcpAddress> parse_address(const std::string& text);

class LineClient {
  public:
    /// Null: not within that time, or refused.
    static std::unique_ptr<LineClient> connect(const TcpAddress& address, Nanoseconds timeout);
    ~LineClient();
    LineClient(const LineClient&) = delete;
    LineClient& operator=(const LineClient&) = delete;

    /// None: no answer within that time, or the connection is gone. Then it is not to be used again.
    std::optional<std::string> ask(const std::string& line, Nanoseconds timeout);

  private:
    explicit LineClient(int fd) : fd_(fd) {}
    int fd_;
    std::string in_;
};

} // namespace rdma_paxos::tools
