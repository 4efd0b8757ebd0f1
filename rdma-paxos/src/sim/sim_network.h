// SPDX-License-Identifier: Apache-2.0
//
// The fabric of the simulator: all replicas in one process, one seed, virtual time, and the faults of real fabrics.
//
// A link carries its works in order; different links are not ordered. A WRITE lands in packets, so that a reset in
// its midst leaves a prefix. Packets that meet a cut path, a stopped host or a reset link are sent again until the
// retry time is over; then the work fails and the sender's link is down. An acknowledgement may be lost although
// the bytes have landed.
#pragma once

#include "rdma_paxos/fabric.h"
#include "rdma_paxos/rendezvous.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <vector>

namespace rdma_paxos::sim {

using namespace std::chrono_literals;

struct NetworkOptions {
    Nanoseconds latency_min = 2us;
    Nanoseconds latency_max = 30us;
    double slow_probability = 0.01; ///< of a work to take up to slow_max
    Nanoseconds slow_max = 3ms;
    Nanoseconds packet_gap = 1us;
    std::size_t packet_bytes = 256;
    Nanoseconds retry_time = 40ms;
    Nanoseconds retry_interval = 2ms;
    double refused_connect_probability = 0.02; ///< a connect() fails for no reason of ours
    double lost_message_probability = 0.1;     ///< of the rendezvous
    bool reset_only_revokes =
        false; ///< a planted mistake: packets on their way still land for a while after reset()
};

class SimFabric;

class SimNetwork {
  public:
    SimNetwork(std::uint64_t seed, const NetworkOptions& options) : options_(options), random_(seed) {}

    Nanoseconds now() const { return now_; }
    void at(Nanoseconds time, std::function<void()> what);

    /// Runs the next event; false if it lies behind `until`, which is then the present time.
    bool step(Nanoseconds until);

    std::uint64_t draw(std::uint64_t below) { return below == 0 ? 0 : random_() % below; }
    bool chance(double probability) { return double(random_() >> 11) * 0x1p-53 < probability; }
    Nanoseconds between(Nanoseconds low, Nanoseconds high);

    std::unique_ptr<SimFabric> make_fabric(ReplicaId self, const MemoryLayout& layout);
    std::unique_ptr<Rendezvous> make_rendezvous(ReplicaId self);

    // Faults.
    void set_path(ReplicaId from, ReplicaId to, bool open) { cut_[{from, to}] = !open; }
    void heal_paths() { cut_.clear(); }
    void set_host_stopped(ReplicaId id, bool stopped) { stopped_[id] = stopped; }

    /// Told when a completion became available to a replica.
    std::function<void(ReplicaId)> on_completion;

  private:
    friend class SimFabric;
    friend class SimRendezvous;

    bool reachable(ReplicaId from, ReplicaId to) const;

    struct Event {
        Nanoseconds time;
        std::uint64_t sequence;
        std::function<void()> what;
        bool operator<(const Event& other) const {
            return std::tie(other.time, other.sequence) < std::tie(time, sequence);
        }
    };

    NetworkOptions options_;
    std::mt19937_64 random_;
    Nanoseconds now_{};
    std::uint64_t sequence_ = 0;
    std::priority_queue<Event> events_;
    std::map<ReplicaId, SimFabric*> fabrics_;
    std::map<std::pair<ReplicaId, ReplicaId>, bool> cut_;
    std::map<ReplicaId, bool> stopped_;
    std::map<ReplicaId, std::deque<std::pair<ReplicaId, RendezvousMessage>>> mail_;
};

class SimFabric final : public Fabric {
  public:
    SimFabric(SimNetwork& network, ReplicaId self, const MemoryLayout& layout);
    ~SimFabric() override;

    std::span<std::byte> region(Region region) override;
    bool add_peer(ReplicaId peer) override { return peer != nobody && peer != self_; }
    void remove_peer(ReplicaId peer) override;
    bool reset(ReplicaId peer, Link link) override;
    Endpoint endpoint(ReplicaId peer, Link link) override;
    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override;
    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                    bool more) override;
    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override;
    std::size_t poll(Link link, std::span<Completion> out) override;
    FabricStats stats() const override { return stats_; }
    std::string describe() const override { return "sim"; }

  private:
    struct Work {
        WorkId id = 0;
        std::vector<std::byte> bytes{}; ///< of a WRITE
        std::span<std::byte> target{};  ///< of a READ
        bool silent = false;            ///< the first piece of a larger write: its success is not reported
        std::uint64_t offset = 0;
        std::size_t landed = 0;
        Nanoseconds ready{};
        Nanoseconds give_up{};
    };
    struct End {
        std::uint64_t generation = 0; ///< of this end, unique in the network
        std::uint64_t remote = 0;     ///< generation of the other end; 0: not connected
        std::uint64_t revoked_generation = 0;
        std::uint64_t revoked_remote = 0;
        Nanoseconds revoked_at{};
        bool failed = false;
        bool running = false; ///< an event for the head of `works` is scheduled
        std::deque<Work> works;
        Nanoseconds last_ack{};
    };

    End& end(ReplicaId peer, Link link) { return ends_[{peer, link}]; }
    bool accepts(ReplicaId from, Link link, std::uint64_t from_generation, std::uint64_t own_generation);
    bool post(ReplicaId peer, Link link, Work work);
    void schedule(ReplicaId peer, Link link, Nanoseconds when);
    void progress(ReplicaId peer, Link link);
    void acknowledge(ReplicaId peer, Link link, Work work);
    void fail(ReplicaId peer, Link link);
    void complete(ReplicaId peer, Link link, WorkId id, bool ok);

    SimNetwork& network_;
    ReplicaId self_;
    std::array<std::span<std::byte>, region_count> regions_;
    std::vector<std::byte> memory_;
    std::map<std::pair<ReplicaId, Link>, End> ends_;
    std::array<std::deque<Completion>, link_count> completions_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    FabricStats stats_;
};

} // namespace rdma_paxos::sim
