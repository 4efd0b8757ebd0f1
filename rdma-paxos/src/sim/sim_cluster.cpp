// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_cluster.h"

#include "sim/workload.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace rdma_paxos::sim {

namespace {

class Cluster final : public NodeObserver, public NetworkObserver {
  public:
    Cluster(std::uint64_t seed, const ScenarioOptions& options)
        : options_(options), scenario_(planted(draw_scenario(seed), options)), network_(seed, scenario_.network),
          checkers_(scenario_.config.group), nodes_(make_nodes()), budget_(nodes_, scenario_.config.ring_bytes),
          workload_(scenario_, network_, nodes_, history_),
          operator_(
              scenario_, network_, nodes_, budget_, [this](ReplicaId id) { return make_node(id); }, tracer()),
          faults_(scenario_, options.only, network_, nodes_, operator_, budget_,
                  {.load = [this](std::size_t count) { workload_.burst(count); }, .trace = tracer()}) {
        network_.observer = this;
        for (const auto& node : nodes_)
            node->found();
    }

    Outcome run() {
        while (!checkers_.violation() && network_.step(scenario_.duration)) {
        }
        if (!checkers_.violation())
            heal_and_check_liveness();
        if (!checkers_.violation())
            if (const auto wrong = history_.check())
                checkers_.fail(network_.now(), *wrong);
        count();
        return {checkers_.violation(), totals_};
    }

  private:
    static Scenario planted(Scenario scenario, const ScenarioOptions& options) {
        if (options.reset_only_revokes)
            scenario.network.reset_leaks_for = 10 * scenario.network.latency_max;
        if (options.ack_when_sent)
            scenario.network.acknowledgement = Acknowledgement::sent;
        return scenario;
    }

    Nodes make_nodes() {
        Nodes nodes;
        for (const ReplicaId id : scenario_.config.members)
            nodes.push_back(make_node(id));
        return nodes;
    }

    std::unique_ptr<Node> make_node(ReplicaId id) {
        return std::make_unique<Node>(id, scenario_, network_, checkers_, *this);
    }

    std::function<void(const std::string&)> tracer() {
        if (!options_.trace)
            return {};
        return [this](const std::string& what) { trace(what); };
    }

    void count() {
        totals_.runs = 1;
        totals_.members = scenario_.config.members.size();
        for (std::size_t kind = 0; kind < fault_kinds; ++kind)
            totals_.faults[kind] = faults_.happened()[kind];
        totals_.proposals = workload_.proposed();
        totals_.answers = workload_.answered();
        totals_.committed = checkers_.applied();
        totals_.leaders = checkers_.leaderships();
        totals_.restarts = faults_.restarts();
        totals_.durable = scenario_.durable;
        totals_.overloaded = scenario_.stutter_max > 0s;
        totals_.changes = operator_.changes();
        totals_.installs = operator_.shipped();
        for (const auto& node : nodes_)
            totals_.ticks += node->ticks();
        totals_.simulated = network_.now();
    }

    // NetworkObserver: a completion wakes its program at once, bytes in memory are found when it looks.
    void on_completion(ReplicaId at, Link link) override {
        if (link == Link::log)
            nodes_[at.value() - 1u]->poke(50us);
    }
    void on_landed(ReplicaId at, ReplicaId from, Link link, bool whole) override {
        nodes_[at.value() - 1u]->poke(scenario_.poll_max);
        faults_.on_landed(at, from, link, whole);
    }

    // NodeObserver.
    void on_command(Node& node, const Command& command, Index index, std::uint64_t result) override {
        if (const auto wrong = history_.applied(command, index, result))
            checkers_.fail(network_.now(), *wrong);
        else
            workload_.on_command(node, command, result);
    }
    void on_leader(Node& node) override { faults_.on_leader(node); }
    void on_lagging(Node& leader, ReplicaId peer) override { operator_.ship_state(leader, peer); }
    std::unique_ptr<Storage> on_storage(Node& node, std::unique_ptr<Storage> storage) override {
        if (!options_.recorder)
            return storage;
        return options_.recorder->watch(node.id(), scenario_.config.ring_bytes, std::move(storage));
    }
    void on_start(Node& node, bool founding) override {
        if (options_.recorder)
            options_.recorder->on_start(node.id(), founding, *node.replica(), node.saved());
    }
    void on_crash(Node& node) override {
        if (options_.recorder)
            options_.recorder->on_crash(node.id());
    }
    void trace(const std::string& what) override {
        options_.trace(fmt::format("{:.6f} {}", std::chrono::duration<double>(network_.now()).count(), what));
    }
    bool traces() const override { return bool(options_.trace); }

    void heal_and_check_liveness() {
        faults_.heal();
        if (options_.trace)
            trace("all is healed");
        const Nanoseconds begun = network_.now();
        const Nanoseconds limit = begun + scenario_.recovery;
        const std::size_t answered = workload_.answered();
        const Index before = checkers_.committed_up_to();
        bool progress = false;
        while (!checkers_.violation() && !progress && network_.now() < limit) {
            network_.step(limit);
            progress = workload_.answered() >= answered + 10 && everybody_has(before);
        }
        if (checkers_.violation())
            return;
        totals_.live = 1;
        totals_.recovery = totals_.longest_recovery = network_.now() - begun;
        if (!progress)
            checkers_.fail(network_.now(), fmt::format("no progress within {} s after everything was healed: {}",
                                                       scenario_.recovery / 1s, describe()));
    }

    // All who are members, and have what they were told.
    bool everybody_has(Index index) {
        const Node* leader = budget_.leader();
        if (!leader)
            return false;
        const MemberSet& voters = leader->replica()->membership().voters;
        return std::all_of(voters.begin(), voters.end(), [&](const Member& member) {
            return !budget_.is_intact(member) ||
                   nodes_[member.id.value() - 1u]->replica()->applied_index() >= index;
        });
    }

    std::string describe() {
        std::string text;
        for (const auto& node : nodes_)
            if (Replica* replica = node->replica())
                text +=
                    fmt::format(" [{}{}{} {} term {} last {} commit {} applied {} members {}]", node->id().value(),
                                node->is_damaged() ? " damaged" : "", node->abstains() ? " abstains" : "",
                                to_string(replica->role()), replica->term().value(), replica->last_index().value(),
                                replica->commit_index().value(), replica->applied_index().value(),
                                to_string(replica->membership()));
        return text;
    }

    ScenarioOptions options_;
    Scenario scenario_;
    SimNetwork network_;
    Checkers checkers_;
    History history_;
    Nodes nodes_;
    Budget budget_;
    Workload workload_;
    Operator operator_;
    Faults faults_;
    Totals totals_;
};

} // namespace

std::uint64_t Totals::all_faults() const {
    return std::accumulate(faults.begin(), faults.end(), std::uint64_t{0});
}

void Totals::add(const Totals& other) {
    runs += other.runs;
    members += other.members;
    for (std::size_t kind = 0; kind < fault_kinds; ++kind)
        faults[kind] += other.faults[kind];
    proposals += other.proposals;
    answers += other.answers;
    committed += other.committed;
    leaders += other.leaders;
    restarts += other.restarts;
    durable += other.durable;
    overloaded += other.overloaded;
    changes += other.changes;
    installs += other.installs;
    ticks += other.ticks;
    live += other.live;
    simulated += other.simulated;
    recovery += other.recovery;
    longest_recovery = std::max(longest_recovery, other.longest_recovery);
}

Outcome run_scenario(std::uint64_t seed, const ScenarioOptions& options) {
    return Cluster(seed, options).run();
}

} // namespace rdma_paxos::sim
