// SPDX-License-Identifier: Apache-2.0
//
// Hubs on the loopback interface with a clock that the test moves, and a stranger who can say anything to them.
#pragma once

#include "rdma_paxos/tcp_rendezvous.h"
#include "rendezvous/key_handshake.h"
#include "rendezvous/socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace rdma_paxos {

using namespace std::chrono_literals;

inline constexpr GroupId group_a{0xa}, group_b{0xb};
inline const ReplicaId one{1}, two{2}, three{3};

inline ClusterKey key_of(int seed) {
    std::array<std::byte, ClusterKey::size> secret;
    for (std::size_t i = 0; i < secret.size(); ++i)
        secret[i] = std::byte(seed + static_cast<int>(i));
    return ClusterKey(secret);
}

inline const ClusterKey cluster_key = key_of(1), other_key = key_of(2);

inline RendezvousMessage message(std::uint64_t incarnation) {
    RendezvousMessage made;
    made.incarnation = incarnation;
    return made;
}

/// A socket with no protocol behind it.
class Stranger {
  public:
    explicit Stranger(std::uint16_t port) : fd_(*start_dialling({"127.0.0.1", port})) {}
    explicit Stranger(OwnedFd fd) : fd_(std::move(fd)) {}

    void say(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    void say(const std::string& text) { say(std::as_bytes(std::span(text))); }

    /// Sends and reads what can be sent and read now.
    void step() {
        std::size_t moved = 0;
        if (!out_.empty() && send_some(fd_.get(), out_, moved) == SocketState::ready)
            out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(moved));
        std::array<std::byte, 4096> bytes;
        const SocketState state = receive_some(fd_.get(), bytes, moved);
        heard.insert(heard.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(moved));
        thrown_out |= state == SocketState::broken && out_.empty();
    }

    std::vector<std::byte> heard;
    bool thrown_out = false;

  private:
    OwnedFd fd_;
    std::vector<std::byte> out_;
};

inline Frame frame_of(Bytes bytes) {
    FrameReader reader;
    reader.add(bytes.first(std::min(bytes.size(), frame_bytes_max)));
    auto frame = reader.next();
    return frame && *frame ? **frame : Frame{};
}

class RendezvousTest : public testing::Test {
  protected:
    static std::unique_ptr<TcpRendezvousHub> hub(const ClusterKey& key = cluster_key) {
        auto made = TcpRendezvousHub::listen({"127.0.0.1", 0}, key);
        EXPECT_TRUE(made) << made.error().what;
        return std::move(*made);
    }

    static std::unique_ptr<Rendezvous> join(TcpRendezvousHub& at, const GroupId& group, ReplicaId self,
                                            const std::map<ReplicaId, std::uint16_t>& ports) {
        std::map<ReplicaId, TcpAddress> peers;
        for (const auto& [id, port] : ports)
            peers[id] = {"127.0.0.1", port};
        auto made = at.join(group, self, peers);
        EXPECT_TRUE(made);
        return std::move(*made);
    }

    /// Lets time pass until `done`, a millisecond and a step of everybody at a time.
    template <class Done>
    bool until(const std::vector<TcpRendezvousHub*>& hubs, Done&& done, int rounds = 2000) {
        for (int round = 0; round < rounds; ++round) {
            now_ += 1ms;
            for (TcpRendezvousHub* each : hubs)
                each->poll(now_);
            if (done())
                return true;
            ::poll(nullptr, 0, 1);
        }
        return false;
    }

    bool is_thrown_out(TcpRendezvousHub& at, Stranger& stranger) {
        return until({&at}, [&] {
            stranger.step();
            return stranger.thrown_out;
        });
    }

    /// Lets the sender send again and again, as replicas do, until `receiver` has something from `from`.
    std::optional<RendezvousMessage> exchange(Rendezvous& sender, ReplicaId to, const RendezvousMessage& outgoing,
                                              Rendezvous& receiver, ReplicaId from, int rounds = 2000) {
        std::optional<RendezvousMessage> got;
        for (int round = 0; round < rounds && !got; ++round) {
            now_ += 1ms;
            if (round % 10 == 0)
                sender.send(to, outgoing);
            sender.receive(now_, [](ReplicaId, const RendezvousMessage&) {});
            receiver.receive(now_, [&](ReplicaId id, const RendezvousMessage& each) {
                if (id == from)
                    got = each;
            });
            if (!got)
                ::poll(nullptr, 0, 1);
        }
        return got;
    }

    Nanoseconds now_ = 1000s; // far from 0: origins of clocks do not matter
};

} // namespace rdma_paxos
