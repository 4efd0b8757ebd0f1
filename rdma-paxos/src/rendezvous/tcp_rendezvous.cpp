// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/tcp_rendezvous.h"

#include "rendezvous/connection.h"

#include <algorithm>
#include <fmt/format.h>
#include <list>

namespace rdma_paxos {

using namespace std::chrono_literals;

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

namespace {

constexpr Nanoseconds dial_interval = 200ms; ///< between two attempts
constexpr Nanoseconds silence_limit = 5s; ///< to prove oneself; and later: peers repeat their offers far more often
constexpr int frames_per_look = 16;       ///< taken of one connection in one poll

// What strangers may cost. Who knows the key is through with the handshake within a round trip or two.
constexpr std::size_t max_strangers = 64; ///< at a time; a newer one displaces the oldest
constexpr Nanoseconds accept_interval = 4ms;
constexpr Nanoseconds accept_burst = 256ms; ///< so 64 may come at once

class Hub final : public TcpRendezvousHub {
  public:
    Hub(OwnedFd listener, const ClusterKey& key) : listener_(std::move(listener)), key_(key) {}

    std::uint16_t port() const override { return listener_ ? local_port(listener_.get()) : std::uint16_t{0}; }
    void on_rejection(OnRejection callback) override { on_rejection_ = std::move(callback); }
    TcpRendezvousStats stats() const override { return stats_; }
    void adopt(int fd, Bytes already_read) override;
    tl::expected<std::unique_ptr<Rendezvous>, Error> join(const GroupId& group, ReplicaId self,
                                                          const std::map<ReplicaId, TcpAddress>& peers) override;
    void introduce(const GroupId& group, ReplicaId peer, const TcpAddress& address) override;
    void forget(const GroupId& group, ReplicaId peer) override;
    void poll(Nanoseconds now) override;
    std::vector<int> fds() const override;
    void leave(Membership& membership);

  private:
    Membership* find(const GroupId& group);
    void accept_some();
    void make_room();
    Connection& add_stranger(OwnedFd fd);
    void dial(Membership& membership, ReplicaId id, PeerState& peer);
    void read_from(Connection& connection);
    void cut_frames(Connection& connection);
    void take(Connection& connection, const Frame& frame);
    void take_hello(Connection& connection, const Frame& frame);
    void take_answer(Connection& connection, const Frame& frame, const Dialler& dialler);
    void take_confirm(Connection& connection, const Frame& frame, const Acceptor& acceptor);
    void take_offer(Connection& connection, const Frame& frame, Session& session);
    void take_refusal(Connection& connection, const Frame& frame);
    void write_to(Connection& connection);
    void mind_silence(Connection& connection);
    void reject(Connection& connection, Rejection reason, const std::string& detail = {},
                std::optional<Rejection> they_say = std::nullopt);
    void refuse(Connection& connection, const FrameHeader& asked, Rejection reason, const std::string& detail);
    void close(Connection& connection);
    void sweep();

    OwnedFd listener_;
    ClusterKey key_;
    OnRejection on_rejection_;
    std::list<Connection> connections_; ///< the oldest first
    std::list<Membership> memberships_;
    TcpRendezvousStats stats_;
    Nanoseconds now_{};
    std::optional<Nanoseconds> next_accept_; ///< of a steady stream; may lie accept_burst behind
    bool accepting_ = true;
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
        // Taken first, delivered then: what is delivered may make the receiver introduce or forget peers.
        std::vector<std::pair<ReplicaId, RendezvousMessage>> arrived;
        for (auto& [id, peer] : membership_.peers)
            if (const auto message = std::exchange(peer.incoming, std::nullopt))
                arrived.emplace_back(id, *message);
        for (const auto& [id, message] : arrived)
            if (membership_.peers.contains(id))
                deliver(id, message);
    }

  private:
    Hub& hub_;
    Membership& membership_;
};

Membership* Hub::find(const GroupId& group) {
    const auto found = std::find_if(memberships_.begin(), memberships_.end(),
                                    [&](const Membership& each) { return each.group == group; });
    return found == memberships_.end() ? nullptr : &*found;
}

tl::expected<std::unique_ptr<Rendezvous>, Error> Hub::join(const GroupId& group, ReplicaId self,
                                                           const std::map<ReplicaId, TcpAddress>& peers) {
    if (find(group))
        return tl::make_unexpected(Error{"rendezvous: already a member of this group"});
    Membership& membership = memberships_.emplace_back();
    membership.group = group;
    membership.self = self;
    for (const auto& [id, address] : peers)
        introduce(group, id, address);
    return std::make_unique<TcpRendezvous>(*this, membership);
}

void Hub::leave(Membership& membership) {
    for (Connection& connection : connections_)
        if (connection.membership == &membership)
            connection.broken = true;
    sweep();
    memberships_.remove_if([&](const Membership& each) { return &each == &membership; });
}

void Hub::introduce(const GroupId& group, ReplicaId id, const TcpAddress& address) {
    Membership* membership = find(group);
    if (!membership || id == membership->self || id == nobody)
        return;
    const auto [found, added] = membership->peers.try_emplace(id);
    PeerState& peer = found->second;
    if (!added && peer.address == address)
        return;
    peer.address = address;
    peer.next_dial = Nanoseconds::min();
    // Who dials us does so from wherever it is.
    if (peer.connection && membership->self < id)
        peer.connection->broken = true;
    sweep();
}

void Hub::forget(const GroupId& group, ReplicaId id) {
    Membership* membership = find(group);
    const auto found = membership ? membership->peers.find(id) : decltype(membership->peers.end()){};
    if (!membership || found == membership->peers.end())
        return;
    if (found->second.connection)
        found->second.connection->broken = true;
    sweep(); // while the peer is still there
    membership->peers.erase(found);
}

Connection& Hub::add_stranger(OwnedFd fd) {
    make_room();
    Connection& connection = connections_.emplace_back();
    connection.fd = std::move(fd);
    connection.address = remote_address(connection.fd.get());
    ++stats_.accepted;
    return connection;
}

void Hub::adopt(int fd, Bytes already_read) {
    prepare_stream(fd);
    Connection& connection = add_stranger(OwnedFd(fd));
    while (!already_read.empty() && !connection.broken) {
        const Bytes part = already_read.first(std::min(already_read.size(), connection.reader.wanted()));
        already_read = already_read.subspan(part.size());
        connection.reader.add(part);
        cut_frames(connection);
    }
}

// The oldest goes that has not even shown a good hello: a stranger cannot displace who knows the key.
void Hub::make_room() {
    const auto count = std::count_if(connections_.begin(), connections_.end(),
                                     [](const Connection& each) { return each.stranger() && !each.broken; });
    if (static_cast<std::size_t>(count) < max_strangers)
        return;
    const auto oldest = [&](auto&& fits) { return std::find_if(connections_.begin(), connections_.end(), fits); };
    auto victim = oldest([](const Connection& each) {
        return each.stranger() && !each.broken && std::holds_alternative<Connection::AwaitingHello>(each.stage);
    });
    if (victim == connections_.end())
        victim = oldest([](const Connection& each) { return each.stranger() && !each.broken; });
    reject(*victim, Rejection::crowded_out);
    close(*victim);
}

// Each may cost us a hash or two, some an X25519: a steady rate of them is all that strangers get of our time.
void Hub::accept_some() {
    if (!listener_)
        return;
    next_accept_ = std::max(next_accept_.value_or(Nanoseconds::min()), now_ - accept_burst);
    while (*next_accept_ + accept_interval <= now_) {
        OwnedFd fd = accept_one(listener_.get());
        if (!fd)
            break;
        *next_accept_ += accept_interval;
        add_stranger(std::move(fd)).heard = now_;
    }
    accepting_ = *next_accept_ + accept_interval <= now_;
}

void Hub::dial(Membership& membership, ReplicaId id, PeerState& peer) {
    peer.next_dial = now_ + dial_interval;
    auto fd = start_dialling(peer.address);
    if (!fd)
        return;
    Connection& connection = connections_.emplace_back();
    connection.fd = std::move(*fd);
    connection.address = peer.address;
    connection.membership = &membership;
    connection.peer = id;
    connection.heard = now_;
    Connection::AwaitingAnswer stage{Dialler(key_, membership.group, membership.self, id)};
    connection.out = stage.dialler.hello();
    connection.stage = std::move(stage);
    peer.connection = &connection;
    ++stats_.dialled;
}

void Hub::reject(Connection& connection, Rejection reason, const std::string& detail,
                 std::optional<Rejection> they_say) {
    if (connection.broken)
        return;
    connection.broken = true;
    ++stats_.rejected_for[static_cast<std::size_t>(reason) - 1];
    stats_.last_rejection = describe(reason, connection.address, detail);
    if (on_rejection_)
        on_rejection_({reason, they_say, connection.address.host, stats_.last_rejection});
}

// One attempt to say why. What else the peer has sent is read away first, for a socket that is closed with bytes
// unread is reset, and takes the refusal with it.
void Hub::refuse(Connection& connection, const FrameHeader& asked, Rejection reason, const std::string& detail) {
    std::array<std::byte, 4096> rest;
    std::size_t moved = 0;
    (void)receive_some(connection.fd.get(), rest, moved);
    (void)send_some(connection.fd.get(), encode_refusal(asked, reason), moved);
    reject(connection, reason, detail);
}

void Hub::take_hello(Connection& connection, const Frame& frame) {
    const FrameHeader& asked = frame.header;
    if (const auto checked = Acceptor::check_hello(key_, frame); !checked) {
        if (checked.error() == Rejection::wrong_key)
            return refuse(connection, asked, checked.error(),
                          fmt::format("it says it is replica {}", asked.from.value()));
        return reject(connection, checked.error());
    }
    Membership* membership = find(asked.group);
    if (!membership)
        return refuse(connection, asked, Rejection::wrong_group,
                      fmt::format("it is replica {} of that", asked.from.value()));
    if (membership->self == asked.from)
        return reject(connection, Rejection::reflected); // what this replica said when it dialled
    if (membership->self != asked.to || !membership->peers.contains(asked.from))
        return refuse(connection, asked, Rejection::unknown_peer,
                      fmt::format("it calls itself replica {}, and this one {}, which is {}", asked.from.value(),
                                  asked.to.value(), membership->self.value()));
    auto acceptor = Acceptor::accept_hello(key_, frame);
    if (!acceptor)
        return reject(connection, acceptor.error());
    connection.out = acceptor->answer();
    connection.stage = Connection::AwaitingConfirm{std::move(*acceptor)};
}

void Hub::take_answer(Connection& connection, const Frame& frame, const Dialler& dialler) {
    auto proved = dialler.take_answer(frame);
    if (!proved)
        return reject(connection, proved.error());
    connection.out.insert(connection.out.end(), proved->confirm.begin(), proved->confirm.end());
    connection.stage = std::move(proved->session);
    connection.heard = now_;
    ++stats_.authenticated;
}

void Hub::take_confirm(Connection& connection, const Frame& frame, const Acceptor& acceptor) {
    auto session = acceptor.take_confirm(frame);
    if (!session)
        return reject(connection, session.error());
    // Group or peer may have gone in the meantime.
    Membership* membership = find(acceptor.group());
    const auto peer = membership ? membership->peers.find(acceptor.peer()) : decltype(membership->peers.end()){};
    if (!membership || peer == membership->peers.end())
        return reject(connection, membership ? Rejection::unknown_peer : Rejection::wrong_group);
    if (peer->second.connection)
        peer->second.connection->broken = true; // the peer dialled anew: it has given up the old one
    peer->second.connection = &connection;
    connection.membership = membership;
    connection.peer = peer->first;
    connection.stage = std::move(*session);
    connection.heard = now_;
    ++stats_.authenticated;
}

void Hub::take_offer(Connection& connection, const Frame& frame, Session& session) {
    const auto message = session.open(frame);
    if (!message)
        return reject(connection, Rejection::tampered);
    ++stats_.messages;
    connection.heard = now_;
    connection.membership->peers.at(connection.peer).incoming = *message;
}

void Hub::take_refusal(Connection& connection, const Frame& frame) {
    const auto reason = decode_refusal(frame);
    if (!reason)
        return reject(connection, Rejection::malformed);
    std::string detail;
    switch (*reason) {
    case Rejection::wrong_key:
        detail = "it says that we do not know its cluster key; the key files of the two differ";
        break;
    case Rejection::wrong_group:
        detail = "it has no such group, or not yet";
        break;
    case Rejection::unknown_peer:
        detail = "it does not know this replica as a member of the group";
        break;
    default:
        detail = fmt::format("it says that it speaks another version than {}", frame_version);
    }
    reject(connection, Rejection::refused, detail, reason);
}

void Hub::take(Connection& connection, const Frame& frame) {
    // A refusal may only come instead of an answer: later it would be a way to cut two who have proved themselves.
    if (auto* stage = std::get_if<Connection::AwaitingAnswer>(&connection.stage))
        return frame.header.type == FrameType::refusal ? take_refusal(connection, frame)
                                                       : take_answer(connection, frame, Dialler(stage->dialler));
    if (auto* stage = std::get_if<Connection::AwaitingConfirm>(&connection.stage))
        return take_confirm(connection, frame, Acceptor(stage->acceptor));
    if (auto* session = std::get_if<Session>(&connection.stage))
        return take_offer(connection, frame, *session);
    take_hello(connection, frame);
}

void Hub::cut_frames(Connection& connection) {
    const auto frame = connection.reader.next();
    if (frame) {
        if (*frame)
            take(connection, **frame);
        return;
    }
    if (connection.proved())
        return reject(connection, Rejection::tampered, to_string(frame.error()));
    if (frame.error() != FrameError::bad_version)
        return reject(connection, Rejection::malformed, to_string(frame.error()));
    const auto detail = fmt::format("{}, this one {}", connection.reader.version(), frame_version);
    if (!connection.stranger()) // only who was asked refuses, or two of different versions would go on refusing
        return reject(connection, Rejection::wrong_version, detail);
    refuse(connection, {}, Rejection::wrong_version, detail);
}

// Never more than the frame in work needs: what has not been cut yet waits in the kernel.
void Hub::read_from(Connection& connection) {
    std::array<std::byte, frame_bytes_max> bytes;
    for (int frames = 0; frames < frames_per_look && !connection.broken;) {
        const std::size_t wanted = connection.reader.wanted();
        std::size_t received = 0;
        const SocketState state = receive_some(connection.fd.get(), std::span(bytes).first(wanted), received);
        if (state != SocketState::ready) {
            connection.broken |= state == SocketState::broken;
            return;
        }
        connection.reader.add(Bytes(bytes).first(received));
        cut_frames(connection);
        frames += connection.reader.empty();
        if (received < wanted)
            return;
    }
}

void Hub::write_to(Connection& connection) {
    if (connection.broken)
        return;
    if (auto* session = std::get_if<Session>(&connection.stage); session && connection.out.empty()) {
        PeerState& peer = connection.membership->peers.at(connection.peer);
        if (peer.connection == &connection && peer.outgoing) {
            connection.out = session->seal(
                {FrameType::offer, connection.membership->group, connection.membership->self, connection.peer},
                *peer.outgoing);
            peer.outgoing.reset();
        }
    }
    if (connection.out.empty())
        return;
    std::size_t sent = 0;
    connection.broken |= send_some(connection.fd.get(), connection.out, sent) == SocketState::broken;
    connection.out.erase(connection.out.begin(), connection.out.begin() + static_cast<std::ptrdiff_t>(sent));
    if (auto* stage = std::get_if<Connection::AwaitingAnswer>(&connection.stage))
        stage->said_hello |= sent > 0;
}

void Hub::mind_silence(Connection& connection) {
    if (!connection.heard)
        connection.heard = now_;
    if (connection.broken || now_ - *connection.heard <= silence_limit)
        return;
    if (connection.proved())
        return reject(connection, Rejection::lost);
    const auto* dialled = std::get_if<Connection::AwaitingAnswer>(&connection.stage);
    if (!dialled || dialled->said_hello)
        return reject(connection, Rejection::silent);
    connection.broken = true; // nobody is there: that is no fault of a peer
}

void Hub::close(Connection& connection) {
    if (connection.membership)
        if (const auto peer = connection.membership->peers.find(connection.peer);
            peer != connection.membership->peers.end() && peer->second.connection == &connection)
            peer->second.connection = nullptr;
    connections_.remove_if([&](const Connection& each) { return &each == &connection; });
}

void Hub::sweep() {
    for (auto connection = connections_.begin(); connection != connections_.end();) {
        Connection& each = *connection++;
        if (each.broken)
            close(each);
    }
}

void Hub::poll(Nanoseconds now) {
    now_ = now;
    accept_some();
    for (Membership& membership : memberships_)
        for (auto& [id, peer] : membership.peers)
            if (membership.self < id && !peer.connection && now_ >= peer.next_dial)
                dial(membership, id, peer);
    for (Connection& connection : connections_) {
        read_from(connection);
        write_to(connection);
        mind_silence(connection);
    }
    sweep();
}

std::vector<int> Hub::fds() const {
    std::vector<int> fds;
    if (listener_ && accepting_)
        fds.push_back(listener_.get());
    for (const Connection& connection : connections_)
        fds.push_back(connection.fd.get());
    return fds;
}

} // namespace

tl::expected<std::unique_ptr<TcpRendezvousHub>, Error> TcpRendezvousHub::listen(const TcpAddress& address,
                                                                                const ClusterKey& key) {
    auto listener = listen_at(address);
    if (!listener)
        return tl::make_unexpected(listener.error());
    return std::make_unique<Hub>(std::move(*listener), key);
}

std::unique_ptr<TcpRendezvousHub> TcpRendezvousHub::without_listener(const ClusterKey& key) {
    return std::make_unique<Hub>(OwnedFd(), key);
}

} // namespace rdma_paxos
