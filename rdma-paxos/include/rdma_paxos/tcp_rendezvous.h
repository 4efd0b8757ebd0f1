// SPDX-License-Identifier: Apache-2.0
//
// Rendezvous over TCP: one port for all groups of a process. See docs/consensus.md, "Rendezvous messages".
//
// Threading: the hub and all its memberships belong to one thread. Nothing blocks. Bytes that are malformed, of
// another version, for an unknown group or from a stranger close that one connection and change nothing else.
#pragma once

#include "rdma_paxos/rendezvous.h"

#include <map>
#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace rdma_paxos {

struct TcpAddress {
    std::string host; ///< numeric IPv4 or IPv6
    std::uint16_t port = 0;
};

struct TcpRendezvousStats {
    std::uint64_t accepted = 0;
    std::uint64_t dialled = 0;
    std::uint64_t messages = 0;
    std::uint64_t rejected = 0; ///< connections closed because of what they sent
};

class TcpRendezvousHub {
  public:
    /// Listens at `address` (port 0: any, see port()).
    static tl::expected<std::unique_ptr<TcpRendezvousHub>, Error> listen(const TcpAddress& address);

    /// A hub without a listener of its own: connections are handed to it with adopt().
    static std::unique_ptr<TcpRendezvousHub> without_listener();

    virtual ~TcpRendezvousHub() = default;

    virtual std::uint16_t port() const = 0;

    /// Takes over a connected stream socket that someone else accepted, with bytes already read from it.
    virtual void adopt(int fd, Bytes already_read) = 0;

    /// The membership of one group. `peers` are the addresses of the other members. The lower id dials the higher.
    /// Destroying it leaves the group. The hub outlives it. One membership per group and hub.
    virtual tl::expected<std::unique_ptr<Rendezvous>, Error> join(const GroupId& group, ReplicaId self,
                                                                  const std::map<ReplicaId, TcpAddress>& peers) = 0;

    /// Makes a further peer of that membership known, or changes its address; forget() takes it back.
    virtual void introduce(const GroupId& group, ReplicaId peer, const TcpAddress& address) {
        (void)group, (void)peer, (void)address;
    }
    virtual void forget(const GroupId& group, ReplicaId peer) { (void)group, (void)peer; }

    /// Accepts, dials (with retry), reads and writes, as far as possible without blocking. Rendezvous::receive()
    /// calls it too.
    virtual void poll(Nanoseconds now) = 0;

    /// All sockets, for a caller who sleeps in poll(2); they may change after each poll(). Such a caller calls
    /// poll() himself when it wakes up: a replica does so only now and then.
    virtual std::vector<int> fds() const = 0;

    virtual TcpRendezvousStats stats() const = 0;
};

} // namespace rdma_paxos
