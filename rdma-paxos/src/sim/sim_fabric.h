// SPDX-License-Identifier: Apache-2.0
//
// The fabric of the simulator: the memory of one replica and its ends of the links, with the faults of real
// fabrics.
//
// A link carries its works in order; different links are not ordered. A WRITE lands in packets, so that a reset in
// its midst leaves a prefix. Packets that meet a cut path, a stopped host or a reset link are sent again until the
// retry time is over; then the work fails and the sender's link is down. An acknowledgement may be lost although
// the bytes have landed.
#pragma once

#include "sim/sim_network.h"

namespace rdma_paxos::sim {

class SimFabric final : public Fabric, private EventHandler {
  public:
    SimFabric(SimNetwork& network, ReplicaId self, const MemoryLayout& layout);
    ~SimFabric() override;
    SimFabric(const SimFabric&) = delete;
    SimFabric& operator=(const SimFabric&) = delete;

    std::span<std::byte> region(Region region) override { return regions_[static_cast<std::size_t>(region)]; }
    bool add_peer(ReplicaId peer) override;
    void remove_peer(ReplicaId peer) override;
    bool reset(ReplicaId peer, Link link) override;
    Endpoint endpoint(ReplicaId peer, Link link) override;
    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override;
    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                    bool more = false) override;
    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override;
    std::size_t poll(Link link, std::span<Completion> out) override;
    FabricStats stats() const override { return stats_; }
    std::string describe() const override { return "simulated"; }

    // Faults.
    void refuse_connects(bool refuse) { refuses_connects_ = refuse; }
    void refuse_resets(bool refuse) { refuses_resets_ = refuse; } ///< reset() says "not yet"
    void fail_link(ReplicaId peer, Link link);                    ///< at once; what is on its way is lost
    void tear_next_write(ReplicaId peer, Link link);              ///< a prefix lands, then the link fails

  private:
    struct Work {
        WorkId id = 0;
        const std::byte* source = nullptr; ///< of a WRITE: read when a packet is sent, also when it is sent again
        std::byte* target = nullptr;       ///< of a READ
        std::vector<std::byte> fetched{};  ///< by a READ, and on its way back
        std::uint64_t offset = 0;
        std::size_t size = 0;
        std::size_t landed = 0;
        Nanoseconds ready{};
        Nanoseconds give_up{};
        bool is_read = false;
        bool silent = false; ///< its completion is not reported
    };

    /// Posted works, oldest first: those that landed and wait for their acknowledgement, then the others. Slots and
    /// their buffers are used again.
    class Works {
      public:
        bool none() const { return first_ == end_; }
        bool all_landed() const { return landed_ == end_; }
        Work& first() { return at(first_); }
        Work& to_land() { return at(landed_); }
        Work& next_sent(); ///< a WRITE; see Acknowledgement::sent
        Work& add();
        void landed() { ++landed_; }
        void pop() { ++first_; }
        void clear() { first_ = landed_ = sent_ = end_; }

      private:
        Work& at(std::uint32_t number) { return slots_[number % slots_.size()]; }
        std::vector<Work> slots_;
        std::uint32_t first_ = 0, landed_ = 0, sent_ = 0, end_ = 0;
    };

    struct End {
        std::uint64_t generation = 0; ///< of this end, unique in the network
        std::uint64_t remote = 0;     ///< generation of the other end; 0: not connected
        std::uint64_t revoked_generation = 0;
        std::uint64_t revoked_remote = 0;
        Nanoseconds revoked_at{};
        bool failed = false;
        bool moving = false; ///< an event for the next work to land is announced
        bool tear_next = false;
        Works works;
        Nanoseconds last_ack{};
    };

    /// Bytes that are on their way although the sender has reset its end.
    struct Straggler {
        ReplicaId peer;
        Link link = Link::board;
        std::uint64_t from_generation = 0;
        std::uint64_t to_generation = 0;
        std::uint64_t offset = 0;
        std::vector<std::byte> bytes;
    };

    enum What : std::uint32_t { move, acknowledge, sent, straggle };

    void on_event(std::uint32_t what, std::uint64_t value) override;
    End* find(ReplicaId peer, Link link) { return ends_[peer.value()][static_cast<std::size_t>(link)].get(); }
    End& end(ReplicaId peer, Link link);
    bool accepts(ReplicaId from, Link link, std::uint64_t from_generation, std::uint64_t own_generation);
    Work* post(End& own, ReplicaId peer, Link link, std::size_t size);
    void announce(const End& own, ReplicaId peer, Link link, Nanoseconds when, What what);
    void move_on(End& own, ReplicaId peer, Link link);
    void land(End& own, ReplicaId peer, Link link, SimFabric& other);
    void finish(End& own, ReplicaId peer, Link link);
    void send_again(End& own, ReplicaId peer, Link link);
    void let_slip_in(ReplicaId peer, Link link);
    void leave_straggler(End& own, ReplicaId peer, Link link);
    void arrive(const Straggler& late);
    void fail(End& own, ReplicaId peer, Link link);
    void complete(ReplicaId peer, Link link, WorkId id, bool ok);

    SimNetwork& network_;
    ReplicaId self_;
    HandlerId handler_;
    Random random_;
    std::unique_ptr<std::byte, void (*)(std::byte*)> memory_;
    std::array<std::span<std::byte>, region_count> regions_;
    std::array<std::array<std::unique_ptr<End>, link_count>, max_replica_id + 1u> ends_;
    std::array<std::vector<Completion>, link_count> completions_;
    std::vector<Straggler> stragglers_;
    bool refuses_connects_ = false;
    bool refuses_resets_ = false;
    FabricStats stats_;
};

} // namespace rdma_paxos::sim
