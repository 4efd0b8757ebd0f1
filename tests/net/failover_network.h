// SPDX-License-Identifier: Apache-2.0
//
// The network of a failover, in network namespaces: a host with a real and an isolated bridge, the outside client,
// and two guests of the same MAC and address, as the VM on the primary (on the real bridge) and its copy on the
// backup (on the isolated one). TCP is the kernel's own everywhere.
//
//   client eth0 --- uplink  br-real --- vif1.0 --- eth0 primary
//                           br-iso  --- vif2.0 --- eth0 backup
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "namespaces.h"
#include "net/tcp_connection.h"

#include <gtest/gtest.h>

namespace tripod::net::test {

inline constexpr MacAddress kGuestMac{{0x00, 0x16, 0x3e, 0x00, 0x00, 0x07}};
inline constexpr MacAddress kClientMac{{0x02, 0x00, 0x00, 0x00, 0xcc, 0x01}};
inline constexpr Ipv4Address kGuest{0x0a4d0002}, kClient{0x0a4d0001}, kGateway{0x0a4d00fe};
inline constexpr std::uint16_t kPort = 6379;

class FailoverNetwork : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    UniqueFd listen_in(const Namespace& where, std::uint16_t port = kPort);
    /** A connection from `where` to the guest; the socket's receive time-out is 5 s. */
    UniqueFd connect_from(const Namespace& where, std::uint16_t port = kPort);
    /**
     * An established socket of the guest with made-up sequence numbers, as a VM's copy holds it when both ends went
     * on without it. By TCP_REPAIR, so without a handshake.
     */
    UniqueFd stale_socket_in(const Namespace& where, const TcpConnection& connection);

    /** The host dies: its guest's packets go nowhere any more. */
    void kill_primary() { host.run("ip link set vif1.0 down nomaster"); }
    /** The steps of a failover that this library does, without the resets. */
    void move_backup();

    Namespace original, host, client, primary, backup;
};

TcpConnection connection_of_client_socket(int fd);
/** What a blocking read ends with: 0 for bytes or end of file, else errno. */
int read_error(int fd);
/** Sends one byte and expects it at the other end. */
void expect_alive(int from, int to);
inline auto in_seconds(int seconds) {
    return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

} // namespace tripod::net::test
