// SPDX-License-Identifier: Apache-2.0
//
// etcd-load: puts into an etcd, by so many clients, each with a connection and one request of its own on the way;
// one thread serves them all. First it measures what the way there and back takes without etcd (Check of its
// health).
#include "../bench/etcd_connection.h"
#include "../bench/results.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>

namespace {

using namespace rdma_paxos;

struct Settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 2379;
    std::vector<std::size_t> clients{1, 8, 64};
    std::vector<std::size_t> payloads{64, 1024, 16384};
    double seconds = 2;
    std::string json;
};

struct Client {
    bench::EtcdConnection connection;
    std::string key;
    Nanoseconds begun{};
};

using Request = std::function<tl::expected<void, Error>(Client&)>;

/// Runs all clients for the given time; returns how many requests were done per second.
tl::expected<double, Error> run(std::vector<Client>& clients, const Request& request, Nanoseconds duration,
                                bench::Latencies& latencies) {
    std::vector<pollfd> fds;
    const Nanoseconds begun = monotonic_now(), end = begun + duration;
    for (Client& client : clients) {
        fds.push_back({client.connection.fd(), POLLIN, 0});
        client.begun = monotonic_now();
        if (auto sent = request(client); !sent)
            return tl::make_unexpected(sent.error());
    }
    std::size_t running = clients.size(), done = 0;
    while (running > 0) {
        if (poll(fds.data(), fds.size(), 10000) <= 0)
            return tl::make_unexpected(Error{"etcd: no answer for 10 s"});
        for (std::size_t i = 0; i < fds.size(); ++i) {
            if (fds[i].revents == 0)
                continue;
            const auto finished = clients[i].connection.finished();
            if (!finished)
                return tl::make_unexpected(finished.error());
            if (!*finished)
                continue;
            const Nanoseconds time = monotonic_now();
            latencies.add(time - clients[i].begun);
            ++done;
            if (time >= end) {
                --running;
                continue;
            }
            clients[i].begun = time;
            if (auto sent = request(clients[i]); !sent)
                return tl::make_unexpected(sent.error());
        }
    }
    return double(done) / std::chrono::duration<double>(monotonic_now() - begun).count();
}

tl::expected<nlohmann::json, Error> measure(const Settings& settings) {
    nlohmann::json document{{"schema", 2}, {"unit", "us"}, {"rows", nlohmann::json::array()}};
    const Nanoseconds duration(static_cast<std::int64_t>(settings.seconds * 1e9));
    for (const std::size_t count : settings.clients) {
        std::vector<Client> clients;
        for (std::size_t i = 0; i < count; ++i) {
            auto connection = bench::EtcdConnection::open(settings.host, settings.port);
            if (!connection)
                return tl::make_unexpected(connection.error());
            clients.push_back({std::move(*connection), fmt::format("bench-{}", i)});
        }
        if (count == 1) {
            bench::Latencies checks;
            const auto rate = run(
                clients, [](Client& each) { return each.connection.check(); }, duration / 4, checks);
            if (!rate)
                return tl::make_unexpected(rate.error());
            document["empty_call"] = bench::to_json(checks);
            fmt::print("round trip of an empty call: p50 {:.0f} us, p99 {:.0f} us\n", checks.us(50), checks.us(99));
        }
        for (const std::size_t payload : settings.payloads) {
            const std::string value(payload, 'z');
            bench::Latencies latencies;
            const auto rate = run(
                clients, [&](Client& each) { return each.connection.put(each.key, value); }, duration, latencies);
            if (!rate)
                return tl::make_unexpected(rate.error());
            fmt::print("payload {:>5}, {:>2} clients: {:>7.0f} puts/s, p50 {:.0f} us, p99 {:.0f} us\n", payload,
                       count, *rate, latencies.us(50), latencies.us(99));
            document["rows"].push_back({{"payload", payload},
                                        {"clients", count},
                                        {"puts_per_s", *rate},
                                        {"put", bench::to_json(latencies)}});
        }
    }
    return document;
}

} // namespace

int main(int argc, char** argv) try {
    Settings settings;
    CLI::App app{"Puts into an etcd: latency and throughput."};
    app.add_option("--host", settings.host, "numeric address of the member to ask; the leader answers soonest");
    app.add_option("--port", settings.port, "its client port");
    app.add_option("--clients", settings.clients, "how many, several separated by commas")->delimiter(',');
    app.add_option("--payload", settings.payloads, "bytes per value, several separated by commas")->delimiter(',');
    app.add_option("--seconds", settings.seconds, "of each measurement")->check(CLI::Range(0.01, 3600.0));
    app.add_option("--json", settings.json, "also write the result to this file");
    CLI11_PARSE(app, argc, argv);
    const auto document = measure(settings);
    if (!document) {
        fmt::print(stderr, "etcd-load: {}\n", document.error().what);
        return 1;
    }
    if (!settings.json.empty()) {
        std::ofstream file(settings.json);
        file << document->dump(1) << '\n';
        return file.good() ? 0 : 1;
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "etcd-load: %s\n", error.what());
    return 1;
}
