// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/tcp_rendezvous.h"

#include "rendezvous/frame.h"
#include "rendezvous/socket.h"

#include <algorithm>
#include <fmt/format.h>
#include <list>

namespace rdma_paxos {

using namespace std::chrono_literals;

namespace {

constexpr Nanoseconds dial_interval = 200ms; ///< between two attempts
constexpr Nanoseconds silence_limit = 5s;    ///< peers repeat their offers far more often
constexpr std::size_t max_connections = 256; ///< of strangers and friends together

struct Membership;

struct Connection {
    OwnedFd fd;
    FrameReader reader;
    std::vector<std::byte> out;
    Membership* membership = nullptr; ///< whose, once known
    ReplicaId peer;
    std::optional<Nanoseconds> heard; ///< none: new since the last poll
    bool broken = false;
};

struct PeerState {
    TcpAddress address;
    Connection* connection = nullptr;
    Nanoseconds next_dial = Nanoseconds::min();
    std::optional<RendezvousMessage> outgoing;
    std::optional<RendezvousMessage> incoming;
};

struct Membership {
    GroupId group{};
    ReplicaId self;
    std::map<ReplicaId, PeerState> peers;
};

class Hub final : public TcpRendezvousHub {
  public:
    explicit Hub(OwnedFd listener) : listener_(std::move(listener)) {}

    std::uint16_t port() const override { return listener_ ? local_port(listener_.get()) : std::uint16_t{0}; }
    TcpRendezvousStats stats() const override { return stats_; }
    void adopt(int fd, Bytes already_read) override;
    tl::expected<std::unique_ptr<Rendezvous>, Error> join(const GroupId& group, ReplicaId self,
                                                          const std::map<ReplicaId, TcpAddress>& peers) override;
    void poll(Nanoseconds now) override;
    std::vector<int> fds() const override;
    void leave(Membership& membership);

  private:
    void read_from(Connection& connection);
    void take(Connection& connection, const Frame& frame);
    void reject(Connection& connection);
    void write_to(Connection& connection);
    void dial(Membership& membership, ReplicaId id, PeerState& peer);
    void sweep();

    OwnedFd listener_;
    std::list<Connection> connections_;
    std::list<Membership> memberships_;
    TcpRendezvousStats stats_;
    Nanoseconds now_{};
};

class TcpRendezvous final : public Rendezvous {
  public:
    TcpRendezvous(Hub& hub, Membership& membership) : hub_(hub), membership_(membership) {}
    ~TcpRendezvous() override { hub_.leave(membership_); }
    TcpRendezvous(const TcpRendezvous&) = delete;
    TcpRendezvous& operator=(const TcpRendezvous&) = delete;

    void send(ReplicaId peer, const RendezvousMessage& message) override {
        if (const auto found = membership_.peers.find(peer); found != membership_.peers.end())
            found->second.outgoing = message;
    }

    void receive(Nanoseconds now,
                 const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) override {
        hub_.poll(now);
        for (auto& [id, peer] : membership_.peers)
            if (const auto message = std::exchange(peer.incoming, std::nullopt))
                deliver(id, *message);
    }

  private:
    Hub& hub_;
    Membership& membership_;
};

tl::expected<std::unique_ptr<Rendezvous>, Error> Hub::join(const GroupId& group, ReplicaId self,
                                                           const std::map<ReplicaId, TcpAddress>& peers) {
    for (const Membership& other : memberships_)
        if (other.group == group)
            return tl::make_unexpected(Error{"rendezvous: already a member of this group"});
    Membership& membership = memberships_.emplace_back();
    membership.group = group;
    membership.self = self;
    for (const auto& [id, address] : peers)
        if (id != self)
            membership.peers[id].address = address;
    return std::make_unique<TcpRendezvous>(*this, membership);
}

void Hub::leave(Membership& membership) {
    for (Connection& connection : connections_)
        if (connection.membership == &membership)
            connection.broken = true;
    sweep();
    memberships_.remove_if([&](const Membership& each) { return &each == &membership; });
}

void Hub::adopt(int fd, Bytes already_read) {
    prepare_stream(fd);
    Connection& connection = connections_.emplace_back();
    connection.fd = OwnedFd(fd);
    connection.reader.add(already_read);
    ++stats_.accepted;
}

void Hub::dial(Membership& membership, ReplicaId id, PeerState& peer) {
    peer.next_dial = now_ + dial_interval;
    auto fd = start_dialling(peer.address);
    if (!fd)
        return;
    Connection& connection = connections_.emplace_back();
    connection.fd = std::move(*fd);
    connection.membership = &membership;
    connection.peer = id;
    connection.heard = now_;
    peer.connection = &connection;
    ++stats_.dialled;
}

void Hub::reject(Connection& connection) {
    ++stats_.rejected;
    connection.broken = true;
}

void Hub::take(Connection& connection, const Frame& frame) {
    const auto membership = std::find_if(memberships_.begin(), memberships_.end(), [&](const Membership& each) {
        return each.group == frame.group && each.self == frame.to;
    });
    if (membership == memberships_.end())
        return reject(connection);
    const auto peer = membership->peers.find(frame.from);
    const bool first = connection.membership == nullptr;
    // Who was dialled answers for himself only; who dials keeps to the group and name of his first message.
    if (peer == membership->peers.end() ||
        (!first && (connection.membership != &*membership || connection.peer != frame.from)))
        return reject(connection);
    if (first) {
        connection.membership = &*membership;
        connection.peer = frame.from;
        if (peer->second.connection)
            peer->second.connection->broken = true; // the peer dialled anew: it has given up the old one
        peer->second.connection = &connection;
    }
    ++stats_.messages;
    connection.heard = now_;
    peer->second.incoming = frame.message;
}

void Hub::read_from(Connection& connection) {
    std::array<std::byte, 4096> bytes;
    for (int rounds = 0; rounds < 16 && !connection.broken; ++rounds) {
        std::size_t received = 0;
        const SocketState state = receive_some(connection.fd.get(), bytes, received);
        connection.broken |= state == SocketState::broken;
        connection.reader.add(Bytes(bytes).first(received));
        while (!connection.broken) {
            const auto frame = connection.reader.next();
            if (!frame)
                reject(connection);
            else if (*frame)
                take(connection, **frame);
            else
                break;
        }
        if (received < bytes.size())
            break;
    }
}

void Hub::write_to(Connection& connection) {
    if (!connection.membership || connection.broken)
        return;
    const auto found = connection.membership->peers.find(connection.peer);
    if (connection.out.empty() && found->second.connection == &connection && found->second.outgoing) {
        connection.out = encode_frame(
            {connection.membership->group, connection.membership->self, connection.peer, *found->second.outgoing});
        found->second.outgoing.reset();
    }
    if (connection.out.empty())
        return;
    std::size_t sent = 0;
    connection.broken |= send_some(connection.fd.get(), connection.out, sent) == SocketState::broken;
    connection.out.erase(connection.out.begin(), connection.out.begin() + static_cast<std::ptrdiff_t>(sent));
}

void Hub::sweep() {
    for (auto connection = connections_.begin(); connection != connections_.end();) {
        if (!connection->broken) {
            ++connection;
            continue;
        }
        if (connection->membership) {
            PeerState& peer = connection->membership->peers[connection->peer];
            if (peer.connection == &*connection)
                peer.connection = nullptr;
        }
        connection = connections_.erase(connection);
    }
}

void Hub::poll(Nanoseconds now) {
    now_ = now;
    while (listener_ && connections_.size() < max_connections) {
        OwnedFd fd = accept_one(listener_.get());
        if (!fd)
            break;
        Connection& connection = connections_.emplace_back();
        connection.fd = std::move(fd);
        connection.heard = now_;
        ++stats_.accepted;
    }
    for (Membership& membership : memberships_)
        for (auto& [id, peer] : membership.peers)
            if (membership.self < id && !peer.connection && now_ >= peer.next_dial)
                dial(membership, id, peer);
    for (Connection& connection : connections_) {
        read_from(connection);
        write_to(connection);
        if (!connection.heard)
            connection.heard = now_;
        // A half-open connection to a host that died, or a stranger who says nothing.
        connection.broken |= now_ - *connection.heard > silence_limit;
    }
    sweep();
}

std::vector<int> Hub::fds() const {
    std::vector<int> fds;
    if (listener_)
        fds.push_back(listener_.get());
    for (const Connection& connection : connections_)
        fds.push_back(connection.fd.get());
    return fds;
}

} // namespace

tl::expected<std::unique_ptr<TcpRendezvousHub>, Error> TcpRendezvousHub::listen(const TcpAddress& address) {
    auto listener = listen_at(address);
    if (!listener)
        return tl::make_unexpected(listener.error());
    return std::make_unique<Hub>(std::move(*listener));
}

std::unique_ptr<TcpRendezvousHub> TcpRendezvousHub::without_listener() {
    return std::make_unique<Hub>(OwnedFd());
}

} // namespace rdma_paxos
