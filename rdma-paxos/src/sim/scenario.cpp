// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rdma_paxos::sim {

namespace {

struct KindTraits {
    const char* name;
    unsigned weight; ///< how often it is drawn, relative to others
};

constexpr std::array<KindTraits, fault_kinds> kinds{{
    {"stop program", 8},
    {"stop host", 8},
    {"stop majority", 4},
    {"cut one way", 6},
    {"cut pair", 6},
    {"isolate", 7},
    {"partition", 6},
    {"slow path", 5},
    {"fail links", 4},
    {"tear writes", 6},
    {"refuse connects", 3},
    {"refuse resets", 3},
    {"lose messages", 3},
    {"lose acknowledgements", 4},
    {"refuse entries", 4},
    {"change clock", 4},
    {"load", 8},
    {"unseat leaders", 12},
    {"crash", 8},
    {"crash majority", 5},
    {"crash all", 4},
    {"lose disk", 3},
    {"rot", 4},
    {"lose write", 3},
    {"fail disk", 3},
    {"slow disk", 3},
    {"change members", 12},
    {"transfer", 8},
    {"abstain", 2},
}};

constexpr Nanoseconds heartbeat = 200ms;

template <std::size_t n>
std::size_t one_of(Random& random, const std::array<std::size_t, n>& values) {
    return values[random.draw(n)];
}

NetworkOptions draw_network(Random& random) {
    NetworkOptions network;
    // From a fabric much faster than the heartbeat to one on which elections meet writes in progress.
    network.latency_min = random.any_scale(10us, 1ms);
    network.latency_max = network.latency_min + random.any_scale(20us, 20ms);
    network.slow_probability = 0.03 * random.unit();
    network.slow_max = random.any_scale(1ms, 300ms);
    network.packet_bytes = one_of<4>(random, {128, 320, 512, 1024});
    network.packet_gap = random.any_scale(1us, 3ms);
    network.retry_time = random.any_scale(80ms, 10s); // hardware is often more patient than an election
    network.retry_interval = std::min(network.retry_time / 10, random.any_scale(5ms, 200ms));
    network.refused_connect_probability = random.chance(0.3) ? 0.1 : 0.01;
    network.lost_message_probability = random.chance(0.3) ? 0.3 : 0.02;
    network.message_delay_max = random.any_scale(1ms, 100ms);
    if (random.chance(0.2))
        network.acknowledgement = Acknowledgement::confirmed;
    return network;
}

Config draw_config(std::uint64_t seed, Random& random) {
    Config config;
    std::memcpy(config.group.data(), &seed, sizeof seed);
    const std::size_t members = one_of<8>(random, {3, 3, 3, 3, 3, 5, 5, 7});
    for (std::size_t id = 1; id <= members; ++id)
        config.members.emplace_back(static_cast<std::uint8_t>(id));
    config.initial_leader = random.chance(0.7) ? config.members.front() : nobody;
    config.preferred_leader = random.chance(0.3) ? config.members[1] : nobody;
    if (random.chance(0.2))
        config.witnesses = {config.members.back()};
    config.ring_bytes = one_of<4>(random, {16 << 10, 32 << 10, 64 << 10, 64 << 10});
    config.max_entry_bytes = 3072;
    config.max_write_bytes = one_of<4>(random, {256, 1024, 2048, 16 << 10});
    config.max_in_flight = 1 + static_cast<std::uint32_t>(random.draw(4));
    config.timing = {.heartbeat = heartbeat,
                     .election_timeout_min = 1s,
                     .election_timeout_max = 2s,
                     .lease = 900ms,
                     .follower_poll = random.between(20ms, 60ms),
                     .link_retry = random.between(200ms, 500ms),
                     .slow_follower_grace = random.chance(0.5) ? 0s : 3s,
                     .clock_drift_ppm = 10000};
    return config;
}

Load draw_load(Random& random, const Config& config) {
    Load load;
    load.clients = 2 + random.draw(4);
    load.think_max = random.any_scale(300ms, 1500ms);
    load.timeout = random.any_scale(500ms, 5s);
    load.lease_reads = random.chance(0.5) ? 0.5 : 0;
    load.bulk_max = config.max_entry_bytes;
    return load;
}

bool needs_disk(FaultKind kind) {
    return kind >= FaultKind::crash_majority && kind <= FaultKind::slow_disk;
}

FaultKind draw_kind(Random& random, bool durable) {
    unsigned total = 0;
    for (const KindTraits& kind : kinds)
        total += kind.weight;
    for (;;) {
        std::uint64_t at = random.draw(total);
        std::size_t kind = 0;
        while (at >= kinds[kind].weight)
            at -= kinds[kind++].weight;
        if (durable || !needs_disk(static_cast<FaultKind>(kind)))
            return static_cast<FaultKind>(kind);
    }
}

Nanoseconds draw_length(FaultKind kind, Random& random) {
    if (kind == FaultKind::unseat_leaders)
        return random.between(8s, 30s);
    return random.chance(0.3) ? random.any_scale(1ms, 1s) : random.any_scale(500ms, 20s);
}

std::vector<Fault> draw_faults(Random& random, const Scenario& scenario) {
    std::vector<Fault> faults;
    const std::size_t count = 7 + random.draw(15);
    const std::size_t members = scenario.config.members.size();
    Nanoseconds last = scenario.duration / 2;
    while (faults.size() < count) {
        Fault fault;
        fault.kind = draw_kind(random, scenario.durable);
        // Troubles love company: many a fault falls into what the one before it has set off.
        fault.at = random.chance(0.5) ? random.between(1s, scenario.duration)
                                      : std::min(scenario.duration, last + random.any_scale(1ms, 3s));
        fault.length = draw_length(fault.kind, random);
        fault.node = scenario.config.members[random.draw(members)];
        do
            fault.other = scenario.config.members[random.draw(members)];
        while (fault.other == fault.node);
        fault.seed = random.next();
        last = fault.at;
        faults.push_back(fault);
    }
    std::stable_sort(faults.begin(), faults.end(),
                     [](const Fault& left, const Fault& right) { return left.at < right.at; });
    return faults;
}

// A group that was one disk is the one that rot could make believe that it still is the group. So it grows soon,
// and some rot comes later, besides what else was drawn.
void begin_alone(Random& random, Scenario& scenario) {
    const ReplicaId one = scenario.config.members.front();
    const ReplicaId other = scenario.config.members.back();
    scenario.config.members = {one};
    scenario.config.witnesses.clear();
    scenario.config.initial_leader = one;
    scenario.config.preferred_leader = nobody;
    for (Fault& fault : scenario.faults)
        if (fault.node != one) {
            fault.other = fault.node;
            fault.node = one;
        }
    const auto add = [&](FaultKind kind, Nanoseconds from, Nanoseconds to) {
        const Nanoseconds length = draw_length(kind, random);
        scenario.faults.push_back({.kind = kind,
                                   .at = random.between(from, to),
                                   .length = length,
                                   .node = one,
                                   .other = other,
                                   .seed = random.next()});
    };
    add(FaultKind::change_members, 2s, 15s);
    add(FaultKind::rot, 15s, scenario.duration);
    add(FaultKind::rot, 15s, scenario.duration);
    std::stable_sort(scenario.faults.begin(), scenario.faults.end(),
                     [](const Fault& left, const Fault& right) { return left.at < right.at; });
}

// Ticks are rare, so each must be able to move something; and clients must wait for several.
void overload(Random& random, Scenario& scenario) {
    scenario.stutter_max = random.any_scale(50ms, scenario.config.timing.election_timeout_max);
    scenario.config.max_write_bytes = 16 << 10;
    scenario.config.max_in_flight = 4;
    scenario.load.timeout = std::max<Nanoseconds>(scenario.load.timeout, 10s);
}

} // namespace

const char* to_string(FaultKind kind) {
    return kind < FaultKind::count ? kinds[static_cast<std::size_t>(kind)].name : "?";
}

std::string to_string(const Fault& fault) {
    return fmt::format("{:.6f} s {} at {} and {} for {:.3f} ms", std::chrono::duration<double>(fault.at).count(),
                       to_string(fault.kind), fault.node.value(), fault.other.value(),
                       std::chrono::duration<double, std::milli>(fault.length).count());
}

Scenario draw_scenario(std::uint64_t seed) {
    Random random = Random::stream(seed, 1);
    Scenario scenario;
    scenario.seed = seed;
    scenario.duration = 60s;
    scenario.recovery = 60s;
    scenario.poll_max = random.any_scale(20us, 5ms);
    scenario.config = draw_config(seed, random);
    scenario.network = draw_network(random);
    scenario.durable = random.chance(0.4);
    scenario.disk.write_min = random.any_scale(20us, 2ms);
    scenario.disk.write_max = scenario.disk.write_min + random.any_scale(20us, 50ms);
    scenario.save_probability = random.chance(0.5) ? 0.02 : 0;
    scenario.load = draw_load(random, scenario.config);
    scenario.faults = draw_faults(random, scenario);
    if (Random alone = Random::stream(seed, 4); scenario.durable && alone.chance(0.12))
        begin_alone(alone, scenario);
    if (Random busy = Random::stream(seed, 5); busy.chance(0.15))
        overload(busy, scenario);
    return scenario;
}

} // namespace rdma_paxos::sim
