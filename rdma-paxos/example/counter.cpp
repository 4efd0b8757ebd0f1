// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/replica.h"
#include "rdma_paxos/shm_fabric.h"
#include <iostream>
#include <list>

using namespace rdma_paxos;

struct Counter final : Listener { // one per replica; all are told the same numbers in the same order
    bool on_commit(Index, Term, Bytes body) override {
        sum += std::to_integer<int>(body[0]), ++count;
        std::cout << "replica " << id << ": number " << count << " makes it " << sum << '\n';
        return true;
    }
    void on_role(Role role, Term) override { std::cout << "replica " << id << ": " << to_string(role) << '\n'; }
    int id = 0, count = 0, sum = 0;
    ShmEndpoint links; // outlives the replica, which uses it
    std::unique_ptr<Replica> replica;
};

int main() {
    std::list<Counter> counters;
    Config config;
    config.group = {'e', 'x', 'a', 'm', 'p', 'l', 'e'};
    config.members = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
    for (const ReplicaId id : config.members) {
        Counter& own = counters.emplace_back();
        own.id = (config.self = id).value();
        own.links = make_shm_fabric(config.group, id, config.members, memory_layout(config.ring_bytes)).value();
        own.replica = Replica::create(config, *own.links.fabric, *own.links.rendezvous, own).value();
    }
    while (std::any_of(counters.begin(), counters.end(), [](const Counter& each) { return each.count < 5; }))
        for (Counter& own : counters) { // usually each on a machine of its own
            own.replica->tick(std::chrono::steady_clock::now().time_since_epoch());
            const auto next = static_cast<std::byte>(own.count + 1); // not before the last one is committed
            if (own.count < 5 && own.replica->applied_index() == own.replica->last_index())
                (void)own.replica->propose({&next, 1}); // only the leader takes it
        }
}
