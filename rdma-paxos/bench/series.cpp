// SPDX-License-Identifier: Apache-2.0
#include "../bench/series.h"

#include "../bench/allocations.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <unistd.h>

namespace rdma_paxos::bench {

using namespace std::chrono_literals;

namespace {

/// Of the latencies of one measurement of throughput; later ones are not kept.
constexpr std::size_t samples_max = 500'000;

/// Processors may be shared with the followers: let them run, outside what is measured.
void let_others_run(std::size_t round) {
    if (round % 16 == 15)
        std::this_thread::sleep_for(50us);
}

void await_commit(Station& station, WaitMode wait, Nanoseconds time, Index index) {
    Replica& replica = station.replica();
    if (wait == WaitMode::spin) {
        for (;; time = monotonic_now()) {
            replica.tick(time);
            if (replica.commit_index() >= index || replica.role() != Role::leader)
                return;
        }
    }
    while (replica.commit_index() < index && replica.role() == Role::leader)
        station.member->wait_until(replica.next_deadline());
}

enum class Body { built_in_place, copied };

/// Proposes a body of that size, and says when: a body that is built in place is there before.
tl::expected<Index, ProposeError> propose(Replica& replica, Body kind, Bytes body, Nanoseconds& begun) {
    if (kind == Body::copied) {
        begun = monotonic_now();
        return replica.propose(body);
    }
    const auto place = replica.reserve(body.size());
    if (!place)
        return tl::make_unexpected(place.error());
    std::memcpy(place->data(), body.data(), body.size());
    std::atomic_thread_fence(std::memory_order_seq_cst); // it has left the store buffer, and lies in the log
    begun = monotonic_now();
    return replica.propose_reserved();
}

/// From proposal to the moment when it is known to be committed; then waits, unmeasured, for the other followers.
/// The tick before does what is due anyway: whoever polls all the time is not late with it. What it posted is on
/// its way no more when the probe's WRITEs, posted behind it, are done.
std::optional<Nanoseconds> commit_one(Station& station, WaitMode wait, Body kind, Bytes body) {
    Replica& replica = station.replica();
    Nanoseconds begun{};
    tl::expected<Index, ProposeError> index = tl::make_unexpected(ProposeError::log_full);
    for (;;) {
        const std::uint64_t posted = station.member->fabric().stats().doorbells;
        replica.tick(monotonic_now());
        if (station.member->fabric().stats().doorbells != posted)
            station.probe->flush_queues();
        index = propose(replica, kind, body, begun);
        if (index)
            break;
        if (index.error() != ProposeError::log_full)
            return std::nullopt;
        std::this_thread::sleep_for(50us); // a follower wants the processor, to apply what it has
    }
    replica.flush(begun);
    await_commit(station, wait, begun, *index);
    const Nanoseconds taken = monotonic_now() - begun;
    if (replica.role() != Role::leader)
        return std::nullopt;
    station.drain();
    return taken;
}

} // namespace

std::optional<LatencyRow> measure_latency(Station& station, WaitMode wait, std::size_t payload,
                                          std::size_t rounds) {
    LatencyRow row;
    row.payload = payload;
    const std::vector<std::byte> body(payload, std::byte{0x5a});
    const std::size_t entry_bytes = payload + 40;
    const std::size_t warm_up = rounds / 10;
    const auto stats = [&] {
        return std::pair(station.replica().counters().log_writes, station.member->fabric().stats().doorbells);
    };
    std::uint64_t writes = 0, doorbells = 0;
    const auto commit_and_count = [&] {
        const auto before = stats();
        const auto taken = commit_one(station, wait, Body::built_in_place, body);
        const auto after = stats();
        writes += after.first - before.first;
        doorbells += after.second - before.second;
        return taken;
    };
    struct Turn {
        Latencies* to;
        std::function<std::optional<Nanoseconds>()> run;
    };
    const auto log_fan_out = [&] { return station.probe->log_fan_out(body); };
    // Each log gets two entries a round, so that readers follow both alike.
    std::array turns{Turn{&row.single, [&] { return station.probe->single_write(64); }},
                     Turn{&row.fan_out, [&] { return station.probe->fan_out(entry_bytes); }},
                     Turn{&row.log_fan_out, log_fan_out},
                     Turn{&row.log_fan_out, log_fan_out},
                     Turn{&row.commit, commit_and_count},
                     Turn{&row.copied, [&] { return commit_one(station, wait, Body::copied, body); }}};
    std::minstd_rand order; // what went before leaves caches, and followers, in different states
    for (std::size_t round = 0; round < warm_up + rounds; ++round) {
        std::ranges::shuffle(turns, order);
        if (round == warm_up)
            writes = doorbells = 0;
        for (const Turn& turn : turns) {
            const auto taken = turn.run();
            if (!taken)
                return std::nullopt;
            if (round >= warm_up)
                turn.to->add(*taken);
        }
        let_others_run(round);
    }
    row.writes_per_commit = double(writes) / double(rounds);
    row.doorbells_per_commit = double(doorbells) / double(rounds);
    return row;
}

std::optional<Latencies> measure_commits(Station& station, WaitMode wait, std::size_t payload, std::size_t rounds) {
    Latencies commits;
    const std::vector<std::byte> body(payload, std::byte{0x5a});
    for (std::size_t round = 0; round < rounds; ++round) {
        const auto commit = commit_one(station, wait, Body::built_in_place, body);
        if (!commit)
            return std::nullopt;
        commits.add(*commit);
        let_others_run(round);
    }
    return commits;
}

std::optional<ThroughputRow> measure_throughput(Station& station, WaitMode wait, std::size_t payload,
                                                std::size_t depth, Nanoseconds duration) {
    ThroughputRow row;
    row.payload = payload;
    row.depth = depth;
    Replica& replica = station.replica();
    const std::vector<std::byte> body(payload, std::byte{0x5a});
    std::vector<Nanoseconds> proposed(depth); // by index, a ring
    row.commit.reserve(samples_max);
    station.drain();
    const std::uint64_t writes_before = replica.counters().log_writes;
    const Index first = replica.last_index();
    Index committed = first;
    const Nanoseconds begun = monotonic_now();
    const Nanoseconds end = begun + duration;
    Nanoseconds time = begun;
    while (replica.role() == Role::leader) {
        bool any = false;
        while (time < end && replica.last_index().value() - committed.value() < depth) {
            const auto index = replica.propose(body);
            if (!index)
                break; // a follower has not applied enough: it wants the processor
            proposed[index->value() % depth] = time;
            any = true;
        }
        if (any)
            replica.flush(time);
        if (time >= end && committed == replica.last_index())
            break;
        if (any || wait == WaitMode::spin)
            replica.tick(time);
        else
            station.member->wait_until(replica.next_deadline());
        time = monotonic_now();
        while (committed < replica.commit_index()) {
            committed = committed.next();
            if (row.commit.count() < samples_max)
                row.commit.add(time - proposed[committed.value() % depth]);
        }
    }
    if (replica.role() != Role::leader)
        return std::nullopt;
    const auto count = double(committed.value() - first.value());
    row.entries_per_s = count / std::chrono::duration<double>(monotonic_now() - begun).count();
    row.writes_per_commit = double(replica.counters().log_writes - writes_before) / count;
    return row;
}

std::optional<CostRow> measure_cost(Station& station, std::size_t payload, std::size_t commits) {
    CostRow row;
    row.commits = commits;
    Replica& replica = station.replica();
    const std::vector<std::byte> body(payload, std::byte{0x5a});
    station.drain();
    const std::uint64_t writes_before = replica.counters().log_writes;
    const FabricStats before = station.member->fabric().stats();
    (void)getpgid(begin_mark);
    const std::uint64_t allocations_before = allocations_of_this_thread();
    for (std::size_t i = 0; i < commits;) {
        const Nanoseconds time = monotonic_now();
        const auto index = replica.propose(body);
        if (!index && index.error() != ProposeError::log_full)
            return std::nullopt;
        replica.flush(time);
        do
            replica.tick(monotonic_now());
        while (index && replica.commit_index() < *index && replica.role() == Role::leader);
        if (replica.role() != Role::leader)
            return std::nullopt;
        i += index.has_value();
    }
    row.allocations = allocations_of_this_thread() - allocations_before;
    (void)getpgid(end_mark);
    const FabricStats after = station.member->fabric().stats();
    row.writes_per_commit = double(replica.counters().log_writes - writes_before) / double(commits);
    row.work_requests_per_commit = double(after.work_requests - before.work_requests) / double(commits);
    row.doorbells_per_commit = double(after.doorbells - before.doorbells) / double(commits);
    return row;
}

} // namespace rdma_paxos::bench
