// SPDX-License-Identifier: Apache-2.0
//
// Ships a state to another node: connects to its port, sends "install POINT_BYTES STATE_BYTES", the bytes, and
// waits for the line that answers.
//
// Threading: one thread. Nothing blocks: call poll() now and then.
#pragma once

#include "rdma_paxos/tcp_rendezvous.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rdma_paxos::tools {

class StateSender {
  public:
    StateSender(const TcpAddress& to, Bytes point, Bytes state, Nanoseconds deadline);
    ~StateSender();
    StateSender(const StateSender&) = delete;
    StateSender& operator=(const StateSender&) = delete;

    /// None while it is under way; then what the other end said, or why it could not be asked.
    std::optional<std::string> poll(Nanoseconds now);

  private:
    int fd_;
    Nanoseconds deadline_;
    std::string out_, in_;
};

} // namespace rdma_paxos::tools
