// SPDX-License-Identifier: Apache-2.0
//
// One TCP connection between two daemons, in frames. Every wait has a limit. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "wire/frame.h"

namespace tripod::peer {

using Milliseconds = std::chrono::milliseconds;

class Connection {
  public:
    // Asked about once a second and whenever something arrives; true ends the wait with ErrorCode::cancelled.
    using Cancelled = std::function<bool()>;

    // `fd`: a connected stream socket. `name`: of the other host, for messages.
    Connection(UniqueFd fd, std::string name);

    // backup_unreachable when the name does not resolve, or nobody answers there in time.
    static Result<Connection> dial(const std::string& address, uint16_t port, std::string name,
                                   Milliseconds timeout);

    // Fails with backup_unreachable when the other end is gone or takes nothing for `timeout`.
    Result<void> send(wire::FrameType type, uint64_t tag, std::span<const std::byte> body, Milliseconds timeout);
    Result<void> send(wire::FrameType type, uint64_t tag, std::string_view body, Milliseconds timeout);

    // The next frame. timed_out after `timeout` without a whole one; backup_unreachable when the other end is gone;
    // protocol when it sends what is no frame.
    Result<wire::Frame> receive(Milliseconds timeout, const Cancelled& cancelled = {});

    // Numeric addresses of both ends.
    std::string local_address() const;
    std::string remote_address() const;
    const std::string& name() const { return name_; }
    void rename(std::string name) { name_ = std::move(name); }
    int fd() const { return fd_.get(); }
    // Ends both directions; a thread that waits in receive() or send() returns.
    void shut_down();

  private:
    UniqueFd fd_;
    std::string name_;
    wire::FrameDecoder decoder_{wire::Channel::peer};
    std::vector<std::byte> buffer_;
    size_t begin_ = 0, end_ = 0; // of what is in the buffer and not decoded yet
};

} // namespace tripod::peer
