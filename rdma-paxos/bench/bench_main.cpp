// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-bench: commit latency against the bare fabric, interleaved in one run.
//
//   rdma-paxos-bench                                       all members as threads, over shm
//   rdma-paxos-bench --fabric verbs --id N --peers ...     one member per host; the first member leads and measures
//
// With --fabric shm and --id, the members are processes of one machine.
#include "../bench/latencies.h"
#include "../bench/member.h"
#include "../bench/probe.h"

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace {

using namespace rdma_paxos;
using namespace std::chrono_literals;
using bench::now;

constexpr std::string_view stop_text = "that is all";

struct Settings {
    bench::MemberOptions member;
    std::vector<std::size_t> payloads{64, 1024, 16384};
    std::size_t rounds = 2000;
    std::size_t replicas = 3; ///< of the run with threads
    std::string json;
};

struct Watcher final : Listener {
    bool on_commit(Index, Term, Bytes body) override {
        stop |= body.size() == stop_text.size() && std::memcmp(body.data(), stop_text.data(), body.size()) == 0;
        return true;
    }
    void on_role(Role, Term) override {}
    bool stop = false;
};

/// A member of the measured group and its end of the probes.
struct Station {
    Watcher watcher;
    std::unique_ptr<bench::Member> member;
    std::unique_ptr<Fabric> probe_fabric;
    std::unique_ptr<Rendezvous> probe_rendezvous;
    std::unique_ptr<bench::Probe> probe;
};

tl::expected<std::unique_ptr<Station>, Error> open_station(const bench::MemberOptions& options) {
    auto station = std::make_unique<Station>();
    auto member = bench::Member::create(options, station->watcher);
    if (!member)
        return tl::make_unexpected(member.error());
    station->member = std::move(*member);
    auto links = station->member->more_links(bench::Probe::layout(), "probes");
    if (!links)
        return tl::make_unexpected(links.error());
    station->probe_fabric = std::move(links->fabric);
    station->probe_rendezvous = std::move(links->rendezvous);
    station->probe =
        std::make_unique<bench::Probe>(*station->probe_fabric, *station->probe_rendezvous,
                                       ReplicaId(static_cast<std::uint8_t>(options.id)), station->member->others());
    return station;
}

int follow(Station& station) {
    Replica& replica = station.member->replica();
    Nanoseconds leave = Nanoseconds::max();
    while (now() < leave) {
        replica.tick(now());
        station.probe->keep_links();
        if (station.watcher.stop && leave == Nanoseconds::max())
            leave = now() + 500ms; // the leader must hear that we have it
        station.member->wait_until(std::min(replica.next_deadline(), now() + 50ms));
    }
    return 0;
}

/// From proposal to the moment when it is known to be committed; then waits, unmeasured, for the other followers.
std::optional<Nanoseconds> commit_one(Station& station, Bytes body) {
    Replica& replica = station.member->replica();
    const Nanoseconds begun = now();
    const auto index = replica.propose(body);
    if (!index)
        return std::nullopt;
    replica.flush(begun);
    while (replica.commit_index() < *index)
        replica.tick(now());
    const Nanoseconds taken = now() - begun;
    const auto all_have_it = [&] {
        for (const ReplicaId id : station.member->others())
            if (replica.peer(id).log_up && replica.peer(id).acked < *index)
                return false;
        return true;
    };
    while (!all_have_it())
        replica.tick(now());
    return taken;
}

struct Row {
    std::size_t payload = 0;
    bench::Latencies single, fan_out, commit;
    double writes_per_commit = 0;
};

tl::expected<std::vector<Row>, Error> measure(Station& station, const Settings& settings) {
    Replica& replica = station.member->replica();
    const Nanoseconds limit = now() + 60s;
    const auto complete = [&] {
        if (replica.role() != Role::leader || !station.probe->ready())
            return false;
        for (const ReplicaId id : station.member->others())
            if (!replica.peer(id).log_up)
                return false;
        return true;
    };
    while (!complete()) {
        replica.tick(now());
        station.probe->keep_links();
        station.member->wait_until(replica.next_deadline());
        if (now() > limit)
            return tl::make_unexpected(Error{
                fmt::format("the group did not come together within a minute: this member is {}, probes {}",
                            to_string(replica.role()), station.probe->ready() ? "connected" : "not connected")});
    }
    std::vector<Row> rows;
    for (const std::size_t payload : settings.payloads) {
        Row row;
        row.payload = payload;
        const std::vector<std::byte> body(payload, std::byte{0x5a});
        const std::size_t warm_up = settings.rounds / 10;
        std::uint64_t writes = 0;
        for (std::size_t round = 0; round < warm_up + settings.rounds; ++round) {
            const auto single = station.probe->single_write(64);
            const auto fan_out = station.probe->fan_out(payload + 40); // what an entry of this payload takes
            const std::uint64_t before = replica.counters().log_writes;
            const auto commit = commit_one(station, body);
            if (!single || !fan_out || !commit)
                return tl::make_unexpected(Error{"a link broke, or leadership was lost, during the measurement"});
            if (round < warm_up)
                continue;
            writes += replica.counters().log_writes - before;
            row.single.add(*single);
            row.fan_out.add(*fan_out);
            row.commit.add(*commit);
            // Let others run: this process may share its processors with the followers.
            if (round % 16 == 0)
                std::this_thread::sleep_for(50us);
        }
        row.writes_per_commit = double(writes) / double(settings.rounds);
        rows.push_back(std::move(row));
    }
    const auto last = replica.propose(std::as_bytes(std::span(stop_text)));
    for (const Nanoseconds end = now() + 400ms; last && now() < end;) {
        replica.tick(now());
        station.member->wait_until(replica.next_deadline());
    }
    return rows;
}

void print(const std::vector<Row>& rows, const Settings& settings, std::size_t replicas) {
    fmt::print("{} replicas over {}, {} rounds; T1: one WRITE of 64 bytes; TF: fan-out of the entry's size until a "
               "majority has it\n",
               replicas, settings.member.fabric, settings.rounds);
    fmt::print("{:>8} {:>10} {:>10} {:>10} {:>10} {:>11} {:>11} {:>9} {:>9} {:>8}\n", "payload", "T1 p50", "T1 p99",
               "TF p50", "TF p99", "commit p50", "commit p99", "p50 / TF", "p99 / TF", "writes");
    for (const Row& row : rows)
        fmt::print(
            "{:>8} {:>7.2f} us {:>7.2f} us {:>7.2f} us {:>7.2f} us {:>8.2f} us {:>8.2f} us {:>9.2f} {:>9.2f} "
            "{:>8.2f}\n",
            row.payload, row.single.us(50), row.single.us(99), row.fan_out.us(50), row.fan_out.us(99),
            row.commit.us(50), row.commit.us(99), row.commit.us(50) / row.fan_out.us(50),
            row.commit.us(99) / row.fan_out.us(99), row.writes_per_commit);
}

bool write_json(const std::vector<Row>& rows, const Settings& settings, std::size_t replicas) {
    nlohmann::json document{{"schema", 1},          {"fabric", settings.member.fabric},
                            {"replicas", replicas}, {"rounds", settings.rounds},
                            {"unit", "us"},         {"rows", nlohmann::json::array()}};
    for (const Row& row : rows)
        document["rows"].push_back(
            {{"payload", row.payload},
             {"t1", {{"p50", row.single.us(50)}, {"p99", row.single.us(99)}}},
             {"tf", {{"p50", row.fan_out.us(50)}, {"p99", row.fan_out.us(99)}}},
             {"commit", {{"p50", row.commit.us(50)}, {"p99", row.commit.us(99)}, {"p99.9", row.commit.us(99.9)}}},
             {"writes_per_commit", row.writes_per_commit}});
    std::ofstream file(settings.json);
    file << document.dump(2) << '\n';
    return file.good();
}

int lead(Station& station, const Settings& settings) {
    const auto rows = measure(station, settings);
    if (!rows) {
        fmt::print(stderr, "rdma-paxos-bench: {}\n", rows.error().what);
        return 1;
    }
    const std::size_t replicas = station.member->others().size() + 1;
    print(*rows, settings, replicas);
    if (!settings.json.empty() && !write_json(*rows, settings, replicas)) {
        fmt::print(stderr, "rdma-paxos-bench: cannot write {}\n", settings.json);
        return 1;
    }
    return 0;
}

int run_station(const bench::MemberOptions& options, const Settings& settings) {
    auto station = open_station(options);
    if (!station) {
        fmt::print(stderr, "rdma-paxos-bench: {}\n", station.error().what);
        return 1;
    }
    return options.id == options.initial_leader ? lead(**station, settings) : follow(**station);
}

int run_threads(const Settings& settings) {
    bench::MemberOptions options = settings.member;
    options.fabric = "shm";
    options.group = fmt::format("bench{}", getpid());
    for (std::size_t id = 1; id <= settings.replicas; ++id)
        options.peers.push_back(std::to_string(id));
    options.initial_leader = 1;
    std::atomic<int> failures{0};
    {
        std::vector<std::jthread> threads;
        for (unsigned id = 1; id <= settings.replicas; ++id) {
            options.id = id;
            threads.emplace_back([options, &settings, &failures] { failures += run_station(options, settings); });
        }
    }
    return failures == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) try {
    Settings settings;
    settings.member.fabric = "shm";
    CLI::App app{"Commit latency of rdma-paxos against the bare fabric."};
    bench::add_member_options(app, settings.member);
    app.get_option("--id")->required(false);
    app.get_option("--peers")->required(false);
    app.add_option("--replicas", settings.replicas, "members of a run with threads")
        ->check(CLI::IsMember({3, 5, 7}));
    app.add_option("--payload", settings.payloads, "bytes per entry, several separated by commas")
        ->delimiter(',')
        ->check(CLI::Range(1, 65000));
    app.add_option("--rounds", settings.rounds, "measured rounds per payload")->check(CLI::Range(10, 100000000));
    app.add_option("--json", settings.json, "also write the result to this file");
    CLI11_PARSE(app, argc, argv);
    if (settings.member.peers.empty())
        return run_threads(settings);
    if (settings.member.initial_leader == 0)
        settings.member.initial_leader = static_cast<unsigned>(std::atoi(settings.member.peers.front().c_str()));
    return run_station(settings.member, settings);
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-bench: %s\n", error.what());
    return 1;
}
