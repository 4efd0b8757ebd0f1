// SPDX-License-Identifier: Apache-2.0
//
// Resets the connections of a VM that a failover broke, both ends, so that none is left half alive: a client that
// waits for an answer that will never come, or a server that holds a connection nobody speaks on.
//
// Order at a failover:
//   1. the VM is live, its vif on the isolated bridge: reset_guest_end() for connections open when protection began
//      (the copied guest kernel holds them, with numbers long stale);
//   2. move_to_bridge(), announce;
//   3. reset_client_end() for every connection of the log.
//
// IPv4 only. A client that runs in dom0 itself is not reached: bridges do not carry frames from their own host to
// it.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/packet_socket.h"
#include "net/reset_machine.h"

namespace tripod::net {

class ConnectionReset {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /** `interface`: the guest's in this host (vif3.0). `bridge`: the real one, with the uplink. Changes nothing. */
    static Result<ConnectionReset> open(const std::string& interface, const std::string& bridge,
                                        MacAddress guest_mac, std::optional<Ipv4Address> gateway = std::nullopt);

    /** Blocks until every connection's outcome is known, at the latest until `deadline`. One outcome for each. */
    std::vector<ResetOutcome> reset_guest_end(std::span<const TcpConnection> connections, Time deadline);
    std::vector<ResetOutcome> reset_client_end(std::span<const TcpConnection> connections, Time deadline);

  private:
    ConnectionReset(PacketSocket guest, PacketSocket network, ResetSetup setup)
        : guest_(std::move(guest)), network_(std::move(network)), setup_(setup) {}
    std::vector<ResetOutcome> run(ResetSetup::End end, std::span<const TcpConnection> connections, Time deadline);
    void receive_all(ResetMachine& machine);

    PacketSocket guest_;   // sees both directions on the vif
    PacketSocket network_; // sees ARP answers to the host's own questions
    ResetSetup setup_;
};

} // namespace tripod::net
