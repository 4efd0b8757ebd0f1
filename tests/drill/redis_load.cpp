// SPDX-License-Identifier: Apache-2.0
//
// redis-load: the outside client of the failover drill. Several connections write unique keys and counters,
// reconnect by themselves, and remember every answer; at the end everything is read back and compared. The report
// is JSON.
//
// Exit status: 0 nothing acknowledged is lost, wrong or duplicated, and no idle connection is half alive; 3 the
// server could not be asked at the end; 4 the verdict is bad; 1 wrong usage or no connection at the start.
#include "idle_connections.h"
#include "read_back.h"
#include "statistics.h"
#include "verdict.h"
#include "writer.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <unistd.h>

namespace {

using namespace drill;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr int exit_unverified = 3;
constexpr int exit_bad_verdict = 4;

struct Options {
    Endpoint endpoint;
    int connections = 4;
    int idle_connections = 0;
    double seconds = 20;
    double patience_seconds = 5;
    double verify_seconds = 30;
    std::string stop_file;
    std::string ready_file;
    std::string report = "-";
    bool progress = false;
};

std::atomic<bool> interrupted{false};

bool parse(int argc, char** argv, Options& options, int& status) {
    int connect_ms = static_cast<int>(options.endpoint.connect_timeout.count());
    int reply_ms = static_cast<int>(options.endpoint.reply_timeout.count());
    CLI::App app{"Writes to a redis server, survives its failovers, and says in the end whether anything "
                 "acknowledged was lost."};
    app.add_option("-H,--host", options.endpoint.host, "address of the server")->capture_default_str();
    app.add_option("-p,--port", options.endpoint.port, "its port")->capture_default_str();
    app.add_option("-c,--connections", options.connections, "connections that write")->capture_default_str();
    app.add_option("--idle-connections", options.idle_connections, "connections that are open, and idle or waiting")
        ->capture_default_str();
    app.add_option("-s,--seconds", options.seconds, "how long to write")->capture_default_str();
    app.add_option("--stop-file", options.stop_file, "stop early once this file exists");
    app.add_option("--ready-file", options.ready_file, "create this file once everything is connected");
    app.add_option("--connect-timeout-ms", connect_ms, "for one attempt to connect")->capture_default_str();
    app.add_option("--reply-timeout-ms", reply_ms, "for one answer; after that the request's fate is unknown")
        ->capture_default_str();
    app.add_option("--patience-seconds", options.patience_seconds,
                   "how long an idle connection may take to end or answer, when used at the end")
        ->capture_default_str();
    app.add_option("--verify-seconds", options.verify_seconds, "how long to try to reach the server at the end")
        ->capture_default_str();
    app.add_option("-o,--report", options.report, "where the JSON report goes (- is standard output)")
        ->capture_default_str();
    app.add_flag("--progress", options.progress, "a line a second on standard error");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        status = app.exit(error) ? 1 : 0;
        return false;
    }
    options.endpoint.connect_timeout = milliseconds(connect_ms);
    options.endpoint.reply_timeout = milliseconds(reply_ms);
    return true;
}

json to_json(const Latencies& latencies) {
    const auto us = [](Nanoseconds ns) { return static_cast<double>(ns) / 1000; };
    return {{"p50", us(latencies.p50)},
            {"p99", us(latencies.p99)},
            {"p99_9", us(latencies.p99_9)},
            {"count", latencies.count}};
}

json describe(const Statistics& statistics, std::span<const Ledger> ledgers) {
    Disconnections sum;
    json per_connection = json::array();
    for (const auto& ledger : ledgers) {
        sum += ledger.disconnections;
        per_connection.push_back(
            {{"writes", ledger.writes.size()}, {"reconnects", ledger.disconnections.reconnects()}});
    }
    const Gap& gap = statistics.longest_gap;
    return {{"acknowledged", statistics.acknowledged},
            {"unknown", statistics.unknown},
            {"refused", statistics.refused},
            {"per_second_before_gap", statistics.per_second_before_gap},
            {"per_second_after_gap", statistics.per_second_after_gap},
            {"latency_us_before_gap", to_json(statistics.before_gap)},
            {"latency_us_after_gap", to_json(statistics.after_gap)},
            {"longest_gap",
             {{"start_ns", gap.start},
              {"end_ns", gap.end},
              {"seconds", static_cast<double>(gap.end - gap.start) / 1e9},
              {"ended", gap.ended}}},
            {"first_answer_after_gap_ns", gap.ended ? json(gap.end) : json(nullptr)},
            {"resets", sum.resets},
            {"closed", sum.closed},
            {"timeouts", sum.timeouts},
            {"connect_failures", sum.connect_failures},
            {"per_connection", per_connection}};
}

void wait_for_end(const Options& options, const Progress& progress) {
    const auto started = std::chrono::steady_clock::now();
    auto shown = started;
    for (;;) {
        std::this_thread::sleep_for(milliseconds(20));
        const auto now = std::chrono::steady_clock::now();
        const double elapsed = std::chrono::duration<double>(now - started).count();
        if (interrupted || elapsed >= options.seconds ||
            (!options.stop_file.empty() && std::filesystem::exists(options.stop_file)))
            return;
        if (options.progress && now - shown >= std::chrono::seconds(1)) {
            shown = now;
            const Nanoseconds last = progress.last_answer;
            fmt::print(
                stderr, "  {:4.0f} s  {} acknowledged, {} unknown{}\n", elapsed, progress.acknowledged.load(),
                progress.unknown.load(),
                last && now_realtime() - last > 500'000'000
                    ? fmt::format(", no answer for {:.1f} s", static_cast<double>(now_realtime() - last) / 1e9)
                    : "");
        }
    }
}

bool write_report(const std::string& where, const json& report) {
    if (where == "-") {
        fmt::print("{}\n", report.dump(2));
        return true;
    }
    std::ofstream file(where);
    file << report.dump(2) << '\n';
    file.close();
    if (!file)
        fmt::print(stderr, "redis-load: cannot write {}\n", where);
    return !!file;
}

int run(const Options& options) {
    // At the start nothing is being measured yet, so a slow server is given time.
    Endpoint unhurried = options.endpoint;
    unhurried.connect_timeout = std::max(unhurried.connect_timeout, milliseconds(5000));
    unhurried.reply_timeout = std::max(unhurried.reply_timeout, milliseconds(10000));
    if (const auto probe = RedisConnection::open(unhurried); !probe) {
        fmt::print(stderr, "redis-load: no server at {}:{}\n", options.endpoint.host, options.endpoint.port);
        return 1;
    }
    const std::string run_name = fmt::format("load{}-{}", getpid(), now_realtime() / 1'000'000);
    std::atomic<bool> stop{false}, idle_ready{options.idle_connections == 0}, idle_done{false};
    Progress progress;
    tl::expected<std::vector<IdleConnection>, Broken> idle;
    std::thread idle_thread([&] {
        if (options.idle_connections > 0)
            idle = watch_idle(stop, idle_ready, unhurried, run_name, options.idle_connections,
                              milliseconds(static_cast<int>(options.patience_seconds * 1000)));
        idle_done = true;
    });
    while (!idle_ready && !idle_done)
        std::this_thread::sleep_for(milliseconds(5));
    if (!idle_ready) {
        idle_thread.join();
        fmt::print(stderr, "redis-load: the idle connections could not be opened\n");
        return 1;
    }

    const Nanoseconds start = now_realtime();
    std::vector<Ledger> ledgers(static_cast<std::size_t>(options.connections));
    std::vector<std::thread> writers;
    writers.reserve(ledgers.size());
    for (int i = 0; i < options.connections; i++)
        writers.emplace_back([&, i] {
            ledgers[static_cast<std::size_t>(i)] = write_until(stop, options.endpoint, {run_name, i}, progress);
        });
    if (!options.ready_file.empty())
        std::ofstream(options.ready_file) << getpid() << '\n';
    wait_for_end(options, progress);
    stop = true;
    for (auto& writer : writers)
        writer.join();
    const Nanoseconds end = now_realtime();
    idle_thread.join();

    json report = describe(summarize(ledgers, start, end), ledgers);
    report["schema"] = 1;
    report["run"] = run_name;
    report["start_ns"] = start;
    report["end_ns"] = end;
    int status = 0;
    json idle_report = json::array();
    for (const auto& one : idle.value_or(std::vector<IdleConnection>{})) {
        idle_report.push_back({{"kind", name_of(one.kind)},
                               {"outcome", name_of(one.outcome)},
                               {"by_itself", one.by_itself},
                               {"ended_ns", one.ended}});
        if (one.outcome == IdleOutcome::half_alive || one.outcome == IdleOutcome::wrong)
            status = exit_bad_verdict;
    }
    report["idle"] = idle_report;

    const auto contents = read_back(options.endpoint, keys_of(ledgers),
                                    milliseconds(static_cast<int>(options.verify_seconds * 1000)));
    report["verified"] = contents.has_value();
    if (contents) {
        const Verdict verdict = judge(ledgers, *contents);
        report["lost"] = verdict.lost;
        report["wrong"] = verdict.wrong;
        report["duplicated"] = verdict.duplicated;
        report["examples"] = verdict.examples;
        if (!verdict.clean())
            status = exit_bad_verdict;
    } else {
        fmt::print(stderr, "redis-load: the server could not be asked at the end\n");
        status = exit_unverified;
    }
    if (!write_report(options.report, report))
        return 1;
    return status;
}

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): without memory there is no report either
int main(int argc, char** argv) {
    Options options;
    int status = 0;
    if (!parse(argc, argv, options, status))
        return status;
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGINT, [](int) { interrupted = true; });
    std::signal(SIGTERM, [](int) { interrupted = true; });
    return run(options);
}
