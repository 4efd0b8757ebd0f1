// SPDX-License-Identifier: Apache-2.0
//
// Rendezvous over TCP: one port for all groups of a process. See docs/consensus.md, "Who may join", and
// docs/consensus-formats.md, "Rendezvous messages".
//
// Both ends of a connection prove that they know the cluster key before either learns anything of the other's
// memory, and what they say then is encrypted. Whatever a peer or a stranger does wrong closes that one connection,
// is counted under its reason, and changes nothing else.
//
// Threading: the hub and all its memberships belong to one thread. Nothing blocks.
#pragma once

#include "rdma_paxos/cluster_key.h"
#include "rdma_paxos/rendezvous.h"

#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <tl/expected.hpp>

namespace rdma_paxos {

struct TcpAddress {
    std::string host; ///< numeric IPv4 or IPv6
    std::uint16_t port = 0;
    friend bool operator==(const TcpAddress&, const TcpAddress&) = default;
};

/// Why a connection was closed. The numbers travel in refusals.
enum class Rejection : std::uint8_t {
    malformed = 1,     ///< bytes that are no message of this protocol, or not the one that is due
    wrong_version = 2, ///< speaks another version of the protocol
    wrong_key = 3,     ///< does not know the cluster key
    wrong_group = 4,   ///< knows it, but asks for a group that is not here (yet)
    unknown_peer = 5,  ///< knows it, but is no member of the group, or means another member
    reflected = 6,     ///< sent our own bytes back
    replayed = 7,      ///< sent a recorded beginning, and could not go on
    tampered = 8,      ///< proved itself; then came a message that it had not sealed, or not for this moment
    silent = 9,        ///< did not prove itself in time
    lost = 10,         ///< proved itself, and then said nothing for too long
    crowded_out = 11,  ///< had to make room: too many who had not proved themselves
    refused = 12,      ///< turned us away. Anybody in between can make this up
};
inline constexpr std::size_t rejection_reasons = 12;

/// One or two words, for statistics.
const char* to_string(Rejection reason);

struct TcpRendezvousStats {
    std::uint64_t accepted = 0;
    std::uint64_t dialled = 0;
    std::uint64_t authenticated = 0; ///< connections both of whose ends have proved themselves
    std::uint64_t messages = 0;
    std::array<std::uint64_t, rejection_reasons> rejected_for{};
    std::string last_rejection; ///< like "peer 192.0.2.2:7000 does not know the cluster key"; empty: none yet

    std::uint64_t rejected() const { return std::accumulate(rejected_for.begin(), rejected_for.end(), 0ULL); }
    std::uint64_t rejected(Rejection reason) const { return rejected_for[static_cast<std::size_t>(reason) - 1]; }
};

/// One connection that was closed, and why.
struct RejectionReport {
    Rejection reason{};
    std::optional<Rejection> they_say; ///< of refused: what the other end says is wrong with us
    std::string host; ///< of the other end, numeric; what a stranger's address is worth, this is worth
    std::string text; ///< as TcpRendezvousStats::last_rejection
};

class TcpRendezvousHub {
  public:
    /// Called within poll(), adopt() or when a connection makes room, once per rejected connection. A stranger
    /// decides how often, up to the bound that poll() names. Must not call the hub.
    using OnRejection = std::function<void(const RejectionReport&)>;

    /// Listens at `address` (port 0: any, see port()).
    static tl::expected<std::unique_ptr<TcpRendezvousHub>, Error> listen(const TcpAddress& address,
                                                                         const ClusterKey& key);

    /// A hub without a listener of its own: connections are handed to it with adopt().
    static std::unique_ptr<TcpRendezvousHub> without_listener(const ClusterKey& key);

    virtual ~TcpRendezvousHub() = default;

    virtual std::uint16_t port() const = 0;

    virtual void on_rejection(OnRejection callback) = 0;

    /// Takes over a connected stream socket that someone else accepted, with bytes already read from it.
    virtual void adopt(int fd, Bytes already_read) = 0;

    /// The membership of one group. `peers` are the addresses of the other members. The lower id dials the higher.
    /// Destroying it leaves the group. The hub outlives it. One membership per group and hub.
    virtual tl::expected<std::unique_ptr<Rendezvous>, Error> join(const GroupId& group, ReplicaId self,
                                                                  const std::map<ReplicaId, TcpAddress>& peers) = 0;

    /// Makes a further peer of that membership known, or changes its address: a connection that was dialled to the
    /// old one is closed, and the new one dialled by the next poll(). Nothing happens if this hub is no member of
    /// the group, or is itself that peer.
    virtual void introduce(const GroupId& group, ReplicaId peer, const TcpAddress& address) = 0;

    /// Takes it back: the peer's connection is closed, what it said last is dropped, and it is a stranger to the
    /// group from then on. Both may be called between polls only.
    virtual void forget(const GroupId& group, ReplicaId peer) = 0;

    /// Accepts, dials (with retry), reads and writes, as far as possible without blocking. Rendezvous::receive()
    /// calls it too. What strangers can make one call do is bounded, and so is how often they can.
    virtual void poll(Nanoseconds now) = 0;

    /// All sockets, for a caller who sleeps in poll(2); they may change after each poll(). Such a caller calls
    /// poll() himself when it wakes up, and now and then without a reason: a replica does so only now and then.
    virtual std::vector<int> fds() const = 0;

    virtual TcpRendezvousStats stats() const = 0;
};

} // namespace rdma_paxos
