// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-bench: commit latency against the bare fabric, throughput, costs, failover.
//
//   rdma-paxos-bench                                       all members as threads, over shm
//   rdma-paxos-bench --fabric verbs --id N --peers ...     one member per host; the first member leads and measures
//
// With --fabric shm and --id, the members are processes of one machine.
#include "../bench/failover.h"
#include "../bench/results.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <sched.h>
#include <thread>

namespace {

using namespace rdma_paxos;
using namespace std::chrono_literals;

struct Settings {
    bench::MemberOptions member;
    std::vector<std::string> series{"latency"};
    std::vector<std::size_t> payloads{64, 1024, 16384};
    std::vector<std::size_t> depths{1, 8, 64};
    std::size_t rounds = 2000;
    std::size_t replicas = 3; ///< of the run with threads
    double seconds = 0.5;
    std::string json;

    bool wants(const char* name) const { return std::find(series.begin(), series.end(), name) != series.end(); }
};

/// Of a run with threads, whoever has something to report.
struct Shared {
    std::mutex mutex;
    nlohmann::json document;
    int failures = 0;
};

bool measure_dead_follower(bench::Station& station, const Settings& settings, nlohmann::json& document) {
    const WaitMode wait = settings.member.wait;
    for (const std::size_t payload : settings.payloads) {
        const auto all = bench::measure_commits(station, wait, payload, settings.rounds);
        if (!all)
            return false;
        document["dead_follower"].push_back({{"payload", payload}, {"all", bench::to_json(*all)}});
    }
    const ReplicaId victim = station.member->others().back();
    station.command("die", victim.value());
    for (const Nanoseconds limit = monotonic_now() + 20s; station.replica().peer(victim).log_up;) {
        if (monotonic_now() > limit)
            return false;
        station.tick();
        station.member->wait_until(station.replica().next_deadline());
    }
    for (std::size_t i = 0; i < settings.payloads.size(); ++i) {
        const auto fewer = bench::measure_commits(station, wait, settings.payloads[i], settings.rounds);
        if (!fewer)
            return false;
        document["dead_follower"][i]["one_dead"] = bench::to_json(*fewer);
    }
    return true;
}

bool measure(bench::Station& station, const Settings& settings, nlohmann::json& document) {
    const WaitMode wait = settings.member.wait;
    if (settings.wants("latency"))
        for (const std::size_t payload : settings.payloads) {
            const auto row = bench::measure_latency(station, wait, payload, settings.rounds);
            if (!row)
                return false;
            document["latency"].push_back(bench::to_json(*row));
        }
    if (settings.wants("throughput"))
        for (const std::size_t payload : settings.payloads)
            for (const std::size_t depth : settings.depths) {
                const Nanoseconds duration(static_cast<std::int64_t>(settings.seconds * 1e9));
                const auto row = bench::measure_throughput(station, wait, payload, depth, duration);
                if (!row)
                    return false;
                document["throughput"].push_back(bench::to_json(*row));
            }
    if (settings.wants("cost")) {
        // The first round takes what is taken once.
        const auto row = bench::measure_cost(station, 64, settings.rounds / 10 + 1)
                             ? bench::measure_cost(station, 64, settings.rounds)
                             : std::nullopt;
        if (!row)
            return false;
        document["cost"] = bench::to_json(*row);
    }
    return !settings.wants("dead") || measure_dead_follower(station, settings, document);
}

/// As the leader. False: failed, and said why.
bool lead(bench::Station& station, const Settings& settings, nlohmann::json& document) {
    if (const auto ready = station.gather(); !ready) {
        fmt::print(stderr, "rdma-paxos-bench: {}\n", ready.error().what);
        return false;
    }
    document["fabric_is"] = station.member->fabric().describe();
    if (settings.wants("failover")) {
        bench::Latencies single;
        for (std::size_t i = 0; i < settings.rounds; ++i)
            if (const auto taken = station.probe->single_write(64))
                single.add(*taken);
        document["t1"] = bench::to_json(single);
        bench::lead_and_vanish(station);
        return true;
    }
    if (!measure(station, settings, document)) {
        const Replica& replica = station.replica();
        fmt::print(stderr,
                   "rdma-paxos-bench: a link broke, or leadership was lost, during the measurement: {} in term {}, "
                   "{} reconnects, {} pauses; measured so far: {}\n",
                   to_string(replica.role()), replica.term().value(), replica.counters().reconnects,
                   replica.counters().pauses, bench::names_of(document));
        return false;
    }
    const Waiter::Counts& waits = station.member->waiter().counts();
    document["waits"] = {{"found_spinning", waits.found_spinning},
                         {"given_up", waits.given_up},
                         {"slept", waits.slept},
                         {"preempted", waits.preempted}};
    station.command("stop");
    return true;
}

void run_station(const bench::MemberOptions& options, const Settings& settings, Shared& shared) {
    auto station = bench::Station::open(options);
    nlohmann::json document;
    bool ok = static_cast<bool>(station);
    if (!ok)
        fmt::print(stderr, "rdma-paxos-bench: {}\n", station.error().what);
    else if (options.id == options.initial_leader)
        ok = lead(**station, settings, document);
    else if (!settings.wants("failover"))
        (*station)->follow();
    else if (const auto failover = bench::live_through_failover(**station))
        document["failover"] = bench::to_json(*failover);
    if (!ok || (options.id == options.initial_leader && !settings.wants("failover")) ||
        document.contains("failover"))
        bench::Station::abandoned = true;
    const std::lock_guard lock(shared.mutex);
    shared.failures += !ok;
    if (!document.is_null())
        shared.document.update(document);
}

/// The leader gets a processor to itself, if there are two at least: members live on hosts of their own.
void choose_processor(bool leads) {
    cpu_set_t all, chosen;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2)
        return;
    int first = 0;
    while (!CPU_ISSET(first, &all))
        ++first;
    CPU_ZERO(&chosen);
    if (leads)
        CPU_SET(first, &chosen);
    else
        CPU_OR(&chosen, &chosen, &all), CPU_CLR(first, &chosen);
    (void)sched_setaffinity(0, sizeof chosen, &chosen);
}

void run_threads(const Settings& settings, Shared& shared) {
    bench::MemberOptions options = settings.member;
    options.fabric = "shm";
    options.group = fmt::format("bench{}", getpid());
    for (std::size_t id = 1; id <= settings.replicas; ++id)
        options.peers.push_back(std::to_string(id));
    options.initial_leader = 1;
    options.patient = true; // there are hardly as many processors as members
    std::vector<std::jthread> threads;
    for (unsigned id = 1; id <= settings.replicas; ++id) {
        options.id = id;
        threads.emplace_back([options, &settings, &shared] {
            if (!settings.wants("failover")) // there, whoever is left shares what there is
                choose_processor(options.id == options.initial_leader);
            run_station(options, settings, shared);
        });
    }
}

} // namespace

int main(int argc, char** argv) try {
    Settings settings;
    settings.member.fabric = "shm";
    settings.member.wait = WaitMode::spin;
    CLI::App app{"Commit latency of rdma-paxos against the bare fabric, throughput, costs, failover."};
    bench::add_member_options(app, settings.member);
    app.get_option("--id")->required(false);
    app.get_option("--peers")->required(false);
    app.add_option("--series", settings.series,
                   "what to measure: latency, throughput, cost, dead; or failover alone")
        ->delimiter(',')
        ->check(CLI::IsMember({"latency", "throughput", "cost", "dead", "failover"}));
    app.add_option("--replicas", settings.replicas, "members of a run with threads")
        ->check(CLI::IsMember({3, 5, 7}));
    app.add_option("--payload", settings.payloads, "bytes per entry, several separated by commas")
        ->delimiter(',')
        ->check(CLI::Range(1, 65000));
    app.add_option("--depth", settings.depths, "entries on their way, of throughput; several separated by commas")
        ->delimiter(',')
        ->check(CLI::Range(1, 100000));
    app.add_option("--rounds", settings.rounds, "measured rounds per payload")->check(CLI::Range(10, 100000000));
    app.add_option("--seconds", settings.seconds, "of each measurement of throughput")
        ->check(CLI::Range(0.01, 3600.0));
    app.add_option("--json", settings.json, "also write the result to this file");
    CLI11_PARSE(app, argc, argv);

    settings.member.looks_seldom = settings.member.lab_timing && !settings.wants("failover");

    Shared shared;
    std::size_t replicas = settings.replicas;
    if (settings.member.peers.empty()) {
        run_threads(settings, shared);
    } else {
        replicas = settings.member.peers.size();
        if (settings.member.initial_leader == 0)
            settings.member.initial_leader =
                static_cast<unsigned>(std::atoi(settings.member.peers.front().c_str()));
        run_station(settings.member, settings, shared);
    }
    if (shared.document.is_null())
        return shared.failures == 0 ? 0 : 1; // a follower has nothing to say
    shared.document.update({{"schema", 3},
                            {"fabric", settings.member.fabric},
                            {"replicas", replicas},
                            {"rounds", settings.rounds},
                            {"wait", bench::to_string(settings.member.wait)},
                            {"unit", "us"}});
    if (shared.failures == 0)
        bench::print(shared.document);
    if (!settings.json.empty()) {
        std::ofstream file(settings.json);
        file << shared.document.dump(1) << '\n';
        if (!file.good()) {
            fmt::print(stderr, "rdma-paxos-bench: cannot write {}\n", settings.json);
            return 1;
        }
    }
    return shared.failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-bench: %s\n", error.what());
    return 1;
}
