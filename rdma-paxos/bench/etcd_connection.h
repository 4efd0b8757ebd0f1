// SPDX-License-Identifier: Apache-2.0
//
// As much of gRPC as a put into etcd needs: HTTP/2 without TLS (RFC 9113), headers without compression (RFC 7541,
// literals only), one request at a time.
#pragma once

#include "rdma_paxos/types.h"

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace rdma_paxos::bench {

class EtcdConnection {
  public:
    static tl::expected<EtcdConnection, Error> open(const std::string& host, std::uint16_t port);
    EtcdConnection(EtcdConnection&& other) noexcept;
    EtcdConnection& operator=(EtcdConnection&&) = delete;
    ~EtcdConnection();

    int fd() const { return fd_; }

    /// Begins a request; finished() tells of its end. One at a time.
    tl::expected<void, Error> put(std::string_view key, std::string_view value);
    /// The same for a call that the server answers at once (Check of its health): what the way there and back
    /// takes, gRPC included.
    tl::expected<void, Error> check();

    /// Reads what has arrived; call it when fd() is readable. True if the request begun last has succeeded.
    tl::expected<bool, Error> finished();

  private:
    explicit EtcdConnection(int fd) : fd_(fd) {}
    tl::expected<void, Error> call(std::string_view path, std::string_view message);
    tl::expected<void, Error> send_all(std::string_view bytes);
    tl::expected<void, Error> send_body();
    tl::expected<bool, Error> take(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload);

    int fd_ = -1;
    std::uint32_t stream_ = 0; ///< of the present request; 0: none yet
    std::uint32_t next_stream_ = 1;
    bool answered_ = false; ///< a message has arrived: errors come without one
    std::int64_t window_ = 65535;
    std::string body_; ///< not sent yet
    std::string received_;
};

} // namespace rdma_paxos::bench
