// SPDX-License-Identifier: Apache-2.0
//
// A simulated host: its clock, its program (a replica and the state that it replicates), and how its program gets
// to run: when a timer of the replica is due, or a little after something was written into its memory.
#pragma once

#include "sim/checkers.h"
#include "sim/command.h"
#include "sim/scenario.h"
#include "sim/sim_fabric.h"

#include <optional>

namespace rdma_paxos::sim {

class Node;

/// A state of the registers, and the point of the log that it belongs to.
struct Saved {
    SnapshotPoint point;
    Registers registers;
    Index applied; ///< the last command in it
};

/// What nodes tell the simulation about themselves.
class NodeObserver {
  public:
    virtual ~NodeObserver() = default;
    virtual void on_command(Node& node, const Command& command, Index index, std::uint64_t result) = 0;
    virtual void on_leader(Node& node) = 0;
    virtual void on_lagging(Node& leader, ReplicaId peer) = 0;
    virtual std::unique_ptr<Storage> on_storage(Node& node, std::unique_ptr<Storage> storage) = 0; ///< to be used
    virtual void on_start(Node& node, bool founding) = 0; ///< before its first tick
    virtual void on_crash(Node& node) = 0;
    virtual void trace(const std::string& what) = 0;
    virtual bool traces() const = 0;
};

class Node final : public Listener, private EventHandler {
  public:
    Node(ReplicaId id, const Scenario& scenario, SimNetwork& network, Checkers& checkers, NodeObserver& observer);
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    ReplicaId id() const { return id_; }
    Replica* replica() { return replica_.get(); }
    const Replica* replica() const { return replica_.get(); }
    SimFabric* fabric() { return fabric_.get(); }
    SimDisk* disk() { return disk_.get(); }
    const Registers& registers() const { return registers_; }
    Index applied() const { return applied_; } ///< the last command
    std::uint64_t life() const { return life_; }
    /// Whose memory, or disk, it has; 0: none.
    std::uint64_t incarnation() const { return incarnation_; }
    std::uint64_t founding_incarnation() const { return founding_incarnation_; }
    Index saved() const { return saved_ ? saved_->point.index : Index(); } ///< its state on the disk
    /// The membership in effect at it or, when it is down, on its disk; null: none.
    const Membership* belief() const {
        return replica_ ? &replica_->membership() : disk_ ? &last_belief_ : nullptr;
    }
    /// How far its log is known to be committed and taken; when it is down, how far it was. 0: it has none.
    std::uint64_t position() const { return replica_ ? replica_->snapshot_point().position : last_position_; }
    bool is_damaged() const { return damaged_; } ///< its disk does not hold all that it was told to
    void set_damaged() { damaged_ = true; }
    bool abstains() const { return abstains_; }
    void abstain();
    std::uint64_t ticks() const { return ticks_; }
    bool runs() const { return replica_ && program_stops_ == 0 && host_stops_ == 0; }
    bool leads() const { return runs() && replica_->role() == Role::leader; }

    /// With the founding members; else as somebody new whom the `acquaintances` may take in; or as who it was, from
    /// its disk.
    void found();
    void join(const std::vector<ReplicaId>& acquaintances, std::optional<bool> witness = std::nullopt);
    void restart(const std::vector<ReplicaId>& acquaintances);
    void crash(bool harsh = false); ///< the memory is lost, the disk is not; see SimDisk
    bool crashed() const { return !replica_ && life_ > 0; }
    /// The disk of a crashed node is lost, too.
    void lose_disk();

    /// What a peer needs that fell behind; and what such a peer does with it.
    Saved state() const { return {replica_->snapshot_point(), registers_, applied_}; }
    void install(const Saved& state);

    /// Whether a command was taken. The caller follows with flush().
    bool propose(const Command& command, std::size_t length);
    void flush();
    bool hand_over(ReplicaId to);
    /// Whether a read of the registers is up to date now, by the lease.
    bool has_lease() const;

    /// Something happened that a polling program notices within `within`.
    void poke(Nanoseconds within);

    // Faults. Each stop needs its own go-on.
    void stop_program();
    void go_on_program();
    void stop_host();
    void go_on_host();
    void refuse_entries(bool refuse) { refuses_ += refuse ? 1 : -1; }
    void change_clock(double rate); ///< 1: true
    void heal();                    ///< runs again, whatever stopped it

    // Listener.
    bool on_commit(Index index, Term term, Bytes body) override;
    void on_role(Role role, Term term) override;
    void on_membership(const Membership& membership) override;
    void on_lagging(ReplicaId peer) override { observer_.on_lagging(*this, peer); }
    void on_failure(const Error& error) override;

  private:
    void make_replica(bool founding, const std::vector<ReplicaId>& acquaintances);
    void on_event(std::uint32_t what, std::uint64_t value) override;
    void schedule(Nanoseconds when);
    void tick();
    void look();
    void resume();
    Nanoseconds local(Nanoseconds now) const {
        return local_base_ + Nanoseconds(std::int64_t(double((now - true_base_).count()) * rate_));
    }
    Nanoseconds true_time(Nanoseconds local_time) const {
        return true_base_ + Nanoseconds(std::int64_t(double((local_time - local_base_).count()) / rate_));
    }

    ReplicaId id_;
    const Scenario& scenario_;
    SimNetwork& network_;
    Checkers& checkers_;
    NodeObserver& observer_;
    HandlerId handler_;
    Random random_;

    std::unique_ptr<SimFabric> fabric_;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<SimDisk> disk_; ///< none: the group is volatile
    std::unique_ptr<Storage> storage_;
    std::optional<Saved> saved_; ///< on the disk; the log need not reach further back
    bool save_due_ = false;
    Membership last_belief_; ///< before it went down
    std::uint64_t last_position_ = 0;
    std::optional<LogRing> ring_; ///< how the checkers look at its memory
    Registers registers_;
    Index applied_;
    std::uint64_t life_ = 0;
    std::uint64_t incarnation_ = 0;
    std::uint64_t founding_incarnation_ = 0;
    bool damaged_ = false;
    bool abstains_ = false;
    std::uint64_t ticks_ = 0;

    double rate_ = 1;
    Nanoseconds local_base_{};
    Nanoseconds true_base_{};

    bool witness_ = false;
    int program_stops_ = 0;
    int host_stops_ = 0;
    int refuses_ = 0;
    Nanoseconds stutter_{}; ///< the longest time between two ticks; 0: it ticks whenever it wants to
    Nanoseconds next_tick_ = Nanoseconds::max();
    Nanoseconds no_tick_before_{};
    std::uint64_t tick_ticket_ = 0;
};

} // namespace rdma_paxos::sim
