// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_cluster.h"

#include "sim/checkers.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rdma_paxos::sim {

namespace {

Timing sim_timing() {
    return {.heartbeat = 3ms,
            .election_timeout_min = 12ms,
            .election_timeout_max = 24ms,
            .lease = 11ms,
            .follower_poll = 1ms,
            .link_retry = 5ms,
            .clock_drift_ppm = 10000};
}

class Cluster;

struct Node final : Listener {
    Node(Cluster& cluster_, ReplicaId id_) : cluster(cluster_), id(id_) {}

    bool on_commit(Index index, Term term, Bytes body) override;
    void on_role(Role role, Term term) override;

    Cluster& cluster;
    ReplicaId id;
    std::unique_ptr<SimFabric> fabric;
    std::unique_ptr<Rendezvous> rendezvous;
    std::unique_ptr<Replica> replica;
    bool crashed = false; ///< its memory is or was lost: no voting member any more
    bool process_stopped = false;
    bool host_stopped = false;
    bool busy = false; ///< its listener refuses entries
    double rate = 1;   ///< of its clock
    Nanoseconds offset{};
    Nanoseconds next_tick = Nanoseconds::max();
    std::uint64_t tick_ticket = 0;

    Nanoseconds local(Nanoseconds now) const {
        return offset + Nanoseconds(std::int64_t(double(now.count()) * rate));
    }
    Nanoseconds global(Nanoseconds time) const {
        return Nanoseconds(std::int64_t(double((time - offset).count()) / rate));
    }
    bool runs() const { return replica && !process_stopped && !host_stopped; }
};

class Cluster {
  public:
    Cluster(std::uint64_t seed, const ScenarioOptions& options)
        : options_(options), network_(seed, network_options(seed, options)), members_(choose_members(seed)),
          checkers_(members_) {
        GroupId group{};
        std::memcpy(group.data(), &seed, sizeof seed);
        config_.group = group;
        config_.members = members_;
        config_.initial_leader = network_.chance(0.7) ? members_.front() : nobody;
        config_.ring_bytes = seed % 4 == 1 ? 32 << 10 : 256 << 10; // some rings are too small for some pauses
        config_.max_entry_bytes = 4096;
        config_.max_write_bytes = 2048 << network_.draw(3);
        config_.max_in_flight = 1 + static_cast<std::uint32_t>(network_.draw(4));
        config_.timing = sim_timing();
        for (const ReplicaId id : members_) {
            nodes_.push_back(std::make_unique<Node>(*this, id));
            start(*nodes_.back(), true);
        }
        network_.on_completion = [this](ReplicaId id) {
            Node& node = node_of(id);
            if (node.runs())
                schedule(node, network_.now() + network_.between(0ns, 3us));
        };
    }

    Outcome run() {
        propose_later();
        fault_later();
        while (!checkers_.violation() && network_.step(options_.duration)) {
        }
        if (!checkers_.violation())
            heal_and_check_liveness();
        if (checkers_.violation())
            outcome_.violation = checkers_.violation();
        outcome_.members = members_.size();
        outcome_.committed = checkers_.committed();
        outcome_.late_leaders = checkers_.leaderships() > 0 ? checkers_.leaderships() - 1 : 0;
        outcome_.simulated = network_.now();
        return outcome_;
    }

    SimNetwork& network() { return network_; }
    Checkers& checkers() { return checkers_; }
    void trace(const std::string& what) const {
        if (options_.trace)
            fmt::print("{:.6f} {}\n", std::chrono::duration<double>(network_.now()).count(), what);
    }
    Outcome& outcome() { return outcome_; }

  private:
    static NetworkOptions network_options(std::uint64_t seed, const ScenarioOptions& options) {
        NetworkOptions network;
        network.reset_only_revokes = options.reset_only_revokes;
        if (seed % 3 == 0) { // a fabric as slow as an emulated one: elections meet writes in progress
            network.latency_max = 400us;
            network.packet_gap = 20us;
        }
        return network;
    }

    static std::vector<ReplicaId> choose_members(std::uint64_t seed) {
        static constexpr std::array sizes{3, 3, 3, 5, 3, 5, 3, 7};
        std::vector<ReplicaId> members;
        for (int id = 1; id <= sizes[seed % sizes.size()]; ++id)
            members.emplace_back(static_cast<std::uint8_t>(id));
        return members;
    }

    Node& node_of(ReplicaId id) { return *nodes_[id.value() - 1u]; }

    void start(Node& node, bool founding) {
        Config config = config_;
        config.self = node.id;
        config.founding = founding;
        config.seed = network_.draw(~0ull);
        node.fabric = network_.make_fabric(node.id, memory_layout(config.ring_bytes));
        node.rendezvous = network_.make_rendezvous(node.id);
        // Half of what the replicas are told to expect, so that two clocks differ by at most the stated drift.
        node.rate = 1 + (double(network_.draw(2001)) - 1000) * 1e-3 * 0.009;
        node.offset = network_.between(0s, 10s);
        auto replica = Replica::create(config, *node.fabric, *node.rendezvous, node);
        if (!replica) {
            std::fprintf(stderr, "%s\n", replica.error().what.c_str());
            std::abort();
        }
        node.replica = std::move(*replica);
        schedule(node, network_.now() + network_.between(0ns, 2ms));
    }

    void schedule(Node& node, Nanoseconds when) {
        if (when >= node.next_tick)
            return;
        node.next_tick = when;
        network_.at(when, [this, &node, ticket = ++node.tick_ticket] {
            if (ticket == node.tick_ticket && node.runs())
                tick(node);
        });
    }

    void tick(Node& node) {
        node.next_tick = Nanoseconds::max();
        node.replica->tick(node.local(network_.now()));
        look_at(node);
        schedule(node, std::max(network_.now() + 1us, node.global(node.replica->next_deadline())));
    }

    void look_at(Node& node) {
        checkers_.on_state(node.id, node.replica->role() == Role::leader, node.replica->commit_index(),
                           node.global(node.replica->lease_deadline()), network_.now());
    }

    // The client knows no leader: whoever believes to be one is asked.
    void propose_later() {
        network_.at(network_.now() + network_.between(100us, proposing_fast_ ? 600us : 5ms), [this] {
            if (network_.chance(0.02))
                proposing_fast_ = !proposing_fast_;
            for (const auto& node : nodes_)
                if (node->runs() && node->replica->role() == Role::leader)
                    propose(*node);
            propose_later();
        });
    }

    void propose(Node& node) {
        for (std::uint64_t count = 1 + network_.draw(3); count > 0; --count) {
            std::array<std::byte, 4096> body{};
            const std::uint64_t number = ++proposed_;
            std::memcpy(body.data(), &number, sizeof number);
            const std::size_t length = network_.chance(0.05) ? network_.draw(4097) : 8 + network_.draw(120);
            outcome_.proposals +=
                node.replica->propose(Bytes(body).first(std::max<std::size_t>(8, length))).has_value();
        }
        node.replica->flush(node.local(network_.now()));
        look_at(node);
    }

    void fault_later() {
        network_.at(network_.now() + network_.between(0ns, 2 * options_.fault_gap), [this] {
            if (healed_)
                return;
            ++outcome_.faults;
            inject();
            fault_later();
        });
    }

    void inject() {
        Node& node = *nodes_[network_.draw(nodes_.size())];
        Node& other = *nodes_[network_.draw(nodes_.size())];
        const Nanoseconds length =
            network_.chance(0.3) ? network_.between(100ms, 400ms) : network_.between(1ms, 60ms);
        const Nanoseconds end = network_.now() + length;
        const auto kind = network_.draw(10);
        trace(
            fmt::format("fault {} at {} and {} for {} us", kind, node.id.value(), other.id.value(), length / 1us));
        switch (kind) {
        case 0:
            if (crashes_ < (members_.size() - 1) / 2 && network_.chance(0.3))
                crash(node);
            break;
        case 1:
        case 2: // the program stands still, its memory is still written
            stop(node, &Node::process_stopped, end);
            break;
        case 3:
        case 4: // the whole host stands still
            network_.set_host_stopped(node.id, true);
            stop(node, &Node::host_stopped, end);
            break;
        case 5:
        case 6: // one way
            network_.set_path(node.id, other.id, false);
            network_.at(end, [this, &node, &other] { network_.set_path(node.id, other.id, true); });
            break;
        case 7: // one replica is cut off, both ways
            for (const auto& each : nodes_) {
                network_.set_path(node.id, each->id, false);
                network_.set_path(each->id, node.id, false);
            }
            network_.at(end, [this, &node] {
                for (const auto& each : nodes_) {
                    network_.set_path(node.id, each->id, true);
                    network_.set_path(each->id, node.id, true);
                }
            });
            break;
        case 8:
            node.busy = true;
            network_.at(end, [&node] { node.busy = false; });
            break;
        case 9: // a majority stands still, and returns one by one
            for (std::size_t i = 0; i <= members_.size() / 2; ++i)
                stop(*nodes_[i], &Node::process_stopped, end + network_.between(0ns, 100ms));
            break;
        }
    }

    void stop(Node& node, bool Node::*what, Nanoseconds until) {
        if (node.*what)
            return;
        node.*what = true;
        network_.at(until, [this, &node, what] { go_on(node, what); });
    }

    void go_on(Node& node, bool Node::*what) {
        node.*what = false;
        if (what == &Node::host_stopped)
            network_.set_host_stopped(node.id, false);
        node.next_tick = Nanoseconds::max();
        if (node.runs())
            schedule(node, network_.now());
    }

    // Volatile: who lost its memory comes back as an observer.
    void crash(Node& node) {
        if (node.crashed)
            return;
        ++crashes_;
        trace(fmt::format("crash of {}", node.id.value()));
        node.crashed = true;
        node.replica.reset();
        node.rendezvous.reset();
        node.fabric.reset();
        node.next_tick = Nanoseconds::max();
        ++node.tick_ticket;
        checkers_.on_crash(node.id);
        if (network_.chance(0.5))
            network_.at(network_.now() + network_.between(0ns, 100ms), [this, &node] { start(node, false); });
    }

    void heal_and_check_liveness() {
        healed_ = true;
        network_.heal_paths();
        for (const auto& node : nodes_) {
            node->busy = false;
            go_on(*node, &Node::process_stopped);
            go_on(*node, &Node::host_stopped);
        }
        const Nanoseconds limit = network_.now() + options_.recovery;
        const std::size_t before = checkers_.committed();
        while (!checkers_.violation() && network_.now() < limit) {
            network_.step(std::min(limit, network_.now() + 5ms));
            if (checkers_.committed() >= before + 20 && everybody_has(before + 10))
                break;
        }
        // Who fell behind by more than the ring stays out, until state transfer exists.
        if (checkers_.violation() || somebody_lags())
            return;
        outcome_.liveness_checked = true;
        if (network_.now() >= limit)
            outcome_.violation = fmt::format("no progress within {} ms after everything was healed: {}",
                                             options_.recovery / 1ms, describe());
    }

    bool everybody_has(std::size_t count) const {
        return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
            return node->crashed || checkers_.applied_by(node->id) >= count;
        });
    }

    bool somebody_lags() const {
        std::uint64_t newest = 0;
        for (const auto& node : nodes_)
            if (node->replica)
                newest = std::max(newest, node->replica->commit_index().value());
        for (const auto& node : nodes_)
            if (node->replica && node->replica->role() == Role::leader)
                for (const auto& other : nodes_)
                    if (!other->crashed && node->replica->peer(other->id).lagging)
                        return true;
        // Without a leader: whoever misses more entries than a ring can hold.
        for (const auto& node : nodes_)
            if (!node->crashed && newest - node->replica->commit_index().value() > config_.ring_bytes / 800)
                return true;
        return false;
    }

    std::string describe() const {
        std::string text;
        for (const auto& node : nodes_)
            if (node->replica)
                text += fmt::format(" [{}{} {} term {} last {} commit {} applied {}]", node->id.value(),
                                    node->crashed ? " crashed" : "", to_string(node->replica->role()),
                                    node->replica->term().value(), node->replica->last_index().value(),
                                    node->replica->commit_index().value(), node->replica->applied_index().value());
        return text;
    }

    ScenarioOptions options_;
    SimNetwork network_;
    std::vector<ReplicaId> members_;
    Checkers checkers_;
    Config config_;
    std::vector<std::unique_ptr<Node>> nodes_;
    Outcome outcome_;
    std::uint64_t proposed_ = 0;
    std::size_t crashes_ = 0;
    bool proposing_fast_ = false;
    bool healed_ = false;
};

bool Node::on_commit(Index index, Term term, Bytes body) {
    if (busy)
        return false;
    cluster.checkers().on_apply(id, index, term, body, cluster.network().now());
    return true;
}

void Node::on_role(Role role, Term term) {
    cluster.trace(fmt::format("{}: {} in term {}, log to {}, commit {}", id.value(), to_string(role), term.value(),
                              replica->last_index().value(), replica->commit_index().value()));
    if (role != Role::leader)
        return;
    ++cluster.outcome().elections_won;
    cluster.checkers().on_leader(id, term, replica->last_index(), cluster.network().now());
}

} // namespace

Outcome run_scenario(std::uint64_t seed, const ScenarioOptions& options) {
    return Cluster(seed, options).run();
}

} // namespace rdma_paxos::sim
