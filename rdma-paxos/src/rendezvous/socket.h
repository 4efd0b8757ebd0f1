// SPDX-License-Identifier: Apache-2.0
//
// The few socket calls that the rendezvous needs. All sockets are non-blocking.
#pragma once

#include "rdma_paxos/tcp_rendezvous.h"

#include <unistd.h>
#include <utility>

namespace rdma_paxos {

/// A file descriptor that is closed with its owner.
class OwnedFd {
  public:
    OwnedFd() = default;
    explicit OwnedFd(int fd) : fd_(fd) {}
    OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    OwnedFd& operator=(OwnedFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~OwnedFd() {
        if (fd_ >= 0)
            close(fd_);
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

tl::expected<OwnedFd, Error> listen_at(const TcpAddress& address);
std::uint16_t local_port(int fd);

/// A connection being made. Failure shows itself at the first send or receive.
tl::expected<OwnedFd, Error> start_dialling(const TcpAddress& address);

/// None if nobody waits.
OwnedFd accept_one(int listener);

void prepare_stream(int fd);

/// "192.0.2.2:7000" or "[2001:db8::2]:7000".
std::string to_string(const TcpAddress& address);
/// Of the other end; "?" if there is none (any more).
TcpAddress remote_address(int fd);

enum class SocketState : std::uint8_t { ready, would_block, broken };

SocketState send_some(int fd, Bytes bytes, std::size_t& sent);
SocketState receive_some(int fd, std::span<std::byte> into, std::size_t& received);

} // namespace rdma_paxos
