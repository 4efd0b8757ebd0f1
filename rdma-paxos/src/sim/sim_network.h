// SPDX-License-Identifier: Apache-2.0
//
// Virtual time, and what lies between the hosts: paths that are cut, slow, or lead to hosts that stand still.
// The fabric on it is in sim_fabric.h. One thread, one seed.
#pragma once

#include "rdma_paxos/fabric.h"
#include "rdma_paxos/rendezvous.h"
#include "sim/event_queue.h"
#include "sim/random.h"

#include <memory>
#include <vector>

namespace rdma_paxos::sim {

using namespace std::chrono_literals;

/// When a WRITE's completion is given.
enum class Acknowledgement : std::uint8_t {
    placed,    ///< the bytes lie in the peer's memory: rxe, hardware
    sent,      ///< a planted mistake (what siw does): they left the host, and may never arrive
    confirmed, ///< as `sent`, and the remedy: the completion is that of a READ which follows the WRITE
};

struct NetworkOptions {
    Nanoseconds latency_min = 2us;
    Nanoseconds latency_max = 30us;
    double slow_probability = 0.01; ///< of a work to take up to slow_max
    Nanoseconds slow_max = 3ms;
    Nanoseconds packet_gap = 1us;
    std::size_t packet_bytes = 256;
    Nanoseconds retry_time = 40ms;
    Nanoseconds retry_interval = 2ms;
    double refused_connect_probability = 0.02;   ///< a connect() fails for no reason of ours
    double lost_message_probability = 0.1;       ///< of the rendezvous
    double lost_acknowledgement_probability = 0; ///< of a work: it has landed, and its link fails nevertheless
    Nanoseconds message_delay_max = 2ms;         ///< of the rendezvous
    Acknowledgement acknowledgement = Acknowledgement::placed;
    /// A planted mistake: packets on their way still land for as long as this after reset(). 0: none do.
    Nanoseconds reset_leaks_for{};
};

/// Told what happens on the network; may announce events, nothing else.
class NetworkObserver {
  public:
    virtual ~NetworkObserver() = default;
    virtual void on_completion(ReplicaId at, Link link) = 0;
    /// A part of a WRITE is in the memory of `at`; `whole`: that was its last part.
    virtual void on_landed(ReplicaId at, ReplicaId from, Link link, bool whole) = 0;
};

class SimFabric;
class SimRendezvous;

class SimNetwork {
  public:
    SimNetwork(std::uint64_t seed, const NetworkOptions& options) : options_(options), seed_(seed) {}

    Nanoseconds now() const { return now_; }
    const NetworkOptions& options() const { return options_; }
    NetworkOptions& options() { return options_; }
    /// Chance for one more object of that replica.
    Random stream(ReplicaId id) { return Random::stream(seed_, id.value() << 16 | ++births_[id.value()]); }

    HandlerId add_handler(EventHandler& handler);
    void remove_handler(HandlerId id) { handlers_[id] = nullptr; }
    void at(Nanoseconds time, HandlerId handler, std::uint32_t what, std::uint64_t value = 0);

    /// Runs the next event; false if it lies behind `until`, which is then the present time.
    bool step(Nanoseconds until);

    std::unique_ptr<SimFabric> make_fabric(ReplicaId self, const MemoryLayout& layout);
    std::unique_ptr<Rendezvous> make_rendezvous(ReplicaId self);

    // Faults.
    void set_path(ReplicaId from, ReplicaId to, bool open);
    void heal_paths() { cut_ = {}; }
    void set_host_stopped(ReplicaId id, bool stopped);
    void set_delay(ReplicaId from, ReplicaId to, Nanoseconds extra) { delay_[from.value()][to.value()] = extra; }

    bool reachable(ReplicaId from, ReplicaId to) const {
        return fabrics_[to.value()] && ((stopped_ >> from.value() | stopped_ >> to.value()) & 1u) == 0 &&
               (cut_[from.value()] >> to.value() & 1u) == 0;
    }
    bool is_stopped(ReplicaId id) const { return (stopped_ >> id.value() & 1u) != 0; }
    SimFabric* fabric_of(ReplicaId id) const { return fabrics_[id.value()]; }

    NetworkObserver* observer = nullptr;

  private:
    friend class SimFabric;
    friend class SimRendezvous;
    static constexpr std::size_t ids = max_replica_id + 1u;

    std::uint64_t unique() { return ++unique_; }

    NetworkOptions options_;
    std::uint64_t seed_;
    Nanoseconds now_{};
    std::uint64_t sequence_ = 0;
    std::uint64_t unique_ = 0;
    EventQueue events_;
    std::vector<EventHandler*> handlers_;
    std::array<SimFabric*, ids> fabrics_{};
    std::array<SimRendezvous*, ids> rendezvous_{};
    std::array<std::uint64_t, ids> cut_{}; ///< by source, a bit for each target
    std::uint64_t stopped_ = 0;
    std::array<std::uint32_t, ids> births_{};
    std::array<std::array<Nanoseconds, ids>, ids> delay_{};
};

} // namespace rdma_paxos::sim

#include "sim/sim_fabric.h" // IWYU pragma: export
