// SPDX-License-Identifier: Apache-2.0
//
// Tells the network where a VM is now.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/packet_socket.h"

namespace tripod::net {

/**
 * The frames of one announcement: a RARP request, from which bridges and switches learn the MAC's port even when no
 * address is known; for each IPv4 address a gratuitous ARP as request and as reply, since hosts differ in which
 * they heed; for each IPv6 address an unsolicited neighbour advertisement.
 */
std::vector<Frame> announcement(MacAddress mac, std::span<const Ipv4Address> ipv4,
                                std::span<const Ipv6Address> ipv6);

/**
 * Announces a VM several times with growing gaps, as single frames get lost and switches may be slow to open a
 * port. Without threads: the caller calls step() when it falls due.
 */
class Announcer {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /** `interface`: the bridge that the VM is on. Sending there also teaches that bridge's uplink. */
    static Result<Announcer> open(const std::string& interface, MacAddress mac, std::vector<Ipv4Address> ipv4,
                                  std::vector<Ipv6Address> ipv6);

    /** Sends what is due and returns when to call again; nothing after the last one. The first call is due at once.
     */
    std::optional<Time> step(Time now);

  private:
    Announcer(PacketSocket socket, std::vector<Frame> frames)
        : socket_(std::move(socket)), frames_(std::move(frames)) {}

    PacketSocket socket_;
    std::vector<Frame> frames_;
    std::size_t sent_ = 0;
    Time due_{};
};

} // namespace tripod::net
