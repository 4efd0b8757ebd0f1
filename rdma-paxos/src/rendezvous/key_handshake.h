// SPDX-License-Identifier: Apache-2.0
//
// How two replicas prove to each other that they know the cluster key, and what they get by it: a key for each
// direction that nobody else has. State machines without sockets. See docs/consensus.md, "Who may join".
//
//   dialler                          listener
//   hello(ephemeral key, proof)  ->  accept_hello: the sender knew the cluster key (now, or when he was recorded)
//   take_answer                  <-  answer(ephemeral key, proof)
//   confirm(proof)               ->  take_confirm: the sender knows it now
//
// The ephemeral keys are fresh for each connection, so they are the nonces too: every proof after the hello covers
// both, hence nothing that was recorded earlier fits.
#pragma once

#include "rdma_paxos/cluster_key.h"
#include "rdma_paxos/tcp_rendezvous.h"
#include "rendezvous/frame.h"

namespace rdma_paxos {

/// 32 secret bytes that are wiped with their owner.
class Secret {
  public:
    Secret() = default;
    Secret(const Secret&) = default;
    Secret& operator=(const Secret&) = default;
    ~Secret();
    std::uint8_t* data() { return bytes_.data(); }
    const std::uint8_t* data() const { return bytes_.data(); }
    static constexpr std::size_t size() { return 32; }

  private:
    std::array<std::uint8_t, 32> bytes_{};
};

/// One connection whose ends have proved themselves: seals what one end sends, opens what the other one sent.
class Session {
  public:
    Session(const Secret& sending, const Secret& receiving) : sending_(sending), receiving_(receiving) {}

    /// A whole frame of type offer.
    std::vector<std::byte> seal(const FrameHeader& header, const RendezvousMessage& message);

    /// None if the peer of this session did not send exactly this, exactly now: forged, changed, repeated,
    /// reordered.
    std::optional<RendezvousMessage> open(const Frame& frame);

  private:
    Secret sending_, receiving_;
    std::uint64_t sent_ = 0, received_ = 0; ///< the nonces: a key serves one direction of one connection
};

struct Ephemeral {
    Secret secret;
    std::array<std::byte, public_key_bytes> open{}; ///< the public half
    static Ephemeral make();
};

using Hash = std::array<std::byte, 32>;

class Dialler {
  public:
    Dialler(const ClusterKey& key, const GroupId& group, ReplicaId self, ReplicaId peer);

    const std::vector<std::byte>& hello() const { return hello_; }

    struct Proved {
        Session session;
        std::vector<std::byte> confirm; ///< to be sent first
    };
    tl::expected<Proved, Rejection> take_answer(const Frame& frame) const;

  private:
    ClusterKey key_;
    FrameHeader header_;
    Ephemeral ephemeral_;
    std::vector<std::byte> hello_;
};

class Acceptor {
  public:
    /// Whether the hello is proved by this cluster key. Only then is what its header claims worth a look.
    static tl::expected<void, Rejection> check_hello(const ClusterKey& key, const Frame& frame);

    /// Answers a hello that was checked.
    static tl::expected<Acceptor, Rejection> accept_hello(const ClusterKey& key, const Frame& frame);

    const std::vector<std::byte>& answer() const { return answer_; }
    ReplicaId peer() const { return header_.from; }
    const GroupId& group() const { return header_.group; }

    tl::expected<Session, Rejection> take_confirm(const Frame& frame) const;

  private:
    Acceptor() = default;

    FrameHeader header_; ///< of what the dialler sends
    std::vector<std::byte> answer_;
    Hash expected_confirm_{};
    Secret sending_, receiving_;
};

/// Tells a dialler why he is turned away. It proves nothing: whoever is between the two could send it.
std::vector<std::byte> encode_refusal(const FrameHeader& to_whom, Rejection reason);
/// None if the reason is not one that is ever told.
std::optional<Rejection> decode_refusal(const Frame& frame);

} // namespace rdma_paxos
