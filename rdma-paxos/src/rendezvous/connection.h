// SPDX-License-Identifier: Apache-2.0
//
// One TCP connection of the hub: bytes in and out, and how far its two ends have proved themselves.
#pragma once

#include "rendezvous/key_handshake.h"
#include "rendezvous/socket.h"

#include <string>
#include <variant>

namespace rdma_paxos {

struct Membership;

struct Connection {
    /// Accepted: nothing is known of the other end.
    struct AwaitingHello {};
    /// Dialled.
    struct AwaitingAnswer {
        Dialler dialler;
        bool said_hello = false;
    };
    /// Accepted; the hello was good.
    struct AwaitingConfirm {
        Acceptor acceptor;
    };
    using Stage = std::variant<AwaitingHello, AwaitingAnswer, AwaitingConfirm, Session>;

    OwnedFd fd;
    TcpAddress address; ///< of the other end, for people
    FrameReader reader;
    std::vector<std::byte> out;
    Stage stage;
    Membership* membership = nullptr; ///< whose: once dialled, or once the other end has proved itself
    ReplicaId peer;
    std::optional<Nanoseconds> heard; ///< when it began, or sent its newest offer; none: new since the last poll
    bool broken = false;

    /// It came to us and has not proved itself.
    bool stranger() const { return membership == nullptr; }
    bool proved() const { return std::holds_alternative<Session>(stage); }
};

/// What to tell an admin of a connection that was closed for this; `detail` may be empty.
std::string describe(Rejection reason, const TcpAddress& address, const std::string& detail);

} // namespace rdma_paxos
