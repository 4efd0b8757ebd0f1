// SPDX-License-Identifier: Apache-2.0
#include "../bench/failover.h"

namespace rdma_paxos::bench {

using namespace std::chrono_literals;

namespace {

double us(Nanoseconds duration) {
    return double(duration.count()) / 1000;
}

} // namespace

void lead_and_vanish(Station& station) {
    const std::vector<std::byte> body(1024, std::byte{0x5a});
    Replica& replica = station.replica();
    for (int i = 0; i < 1000; ++i) {
        (void)replica.propose(body);
        replica.flush(monotonic_now());
        if (i < 900) // the last ones are on their way when it happens
            station.drain();
    }
    station.vanish();
}

std::optional<Failover> live_through_failover(Station& station) {
    if (station.follow() || station.watcher.die)
        return std::nullopt;
    Failover result;
    Replica& replica = station.replica();
    const Nanoseconds begun = station.watcher.candidate_at;
    result.to_leadership_us = us(station.watcher.leader_at - begun);
    const auto committed = [&](Index index) {
        while (replica.role() == Role::leader && replica.commit_index() < index)
            replica.tick(monotonic_now());
        return us(monotonic_now() - begun);
    };
    result.to_first_commit_us = committed(replica.term_start());
    const auto index = replica.propose(std::as_bytes(std::span("after the failover")));
    replica.flush(monotonic_now());
    if (!index)
        return std::nullopt;
    result.to_client_commit_us = committed(*index);
    if (replica.role() != Role::leader)
        return std::nullopt;
    station.command("stop");
    return result;
}

} // namespace rdma_paxos::bench
