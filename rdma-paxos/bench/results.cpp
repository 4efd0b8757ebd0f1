// SPDX-License-Identifier: Apache-2.0
#include "../bench/results.h"

#include <fmt/format.h>

namespace rdma_paxos::bench {

nlohmann::json to_json(const Latencies& latencies) {
    nlohmann::json quantiles = nlohmann::json::array();
    for (const double percent : {0.0,  1.0,  5.0,  10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0,
                                 80.0, 85.0, 90.0, 95.0, 97.0, 98.0, 99.0, 99.5, 99.9, 100.0})
        quantiles.push_back({percent, latencies.us(percent)});
    return {{"p50", latencies.us(50)},
            {"p99", latencies.us(99)},
            {"p99.9", latencies.us(99.9)},
            {"count", latencies.count()},
            {"quantiles", quantiles}};
}

nlohmann::json to_json(const LatencyRow& row) {
    return {{"payload", row.payload},
            {"t1", to_json(row.single)},
            {"tf", to_json(row.fan_out)},
            {"tf_log", to_json(row.log_fan_out)},
            {"commit", to_json(row.commit)},
            {"commit_copied", to_json(row.copied)},
            {"writes_per_commit", row.writes_per_commit},
            {"doorbells_per_commit", row.doorbells_per_commit}};
}

nlohmann::json to_json(const ThroughputRow& row) {
    return {{"payload", row.payload},
            {"depth", row.depth},
            {"entries_per_s", row.entries_per_s},
            {"writes_per_commit", row.writes_per_commit},
            {"commit", to_json(row.commit)}};
}

nlohmann::json to_json(const CostRow& row) {
    return {{"commits", row.commits},
            {"allocations", row.allocations},
            {"writes_per_commit", row.writes_per_commit},
            {"work_requests_per_commit", row.work_requests_per_commit},
            {"doorbells_per_commit", row.doorbells_per_commit}};
}

nlohmann::json to_json(const Failover& failover) {
    return {{"to_leadership_us", failover.to_leadership_us},
            {"to_first_commit_us", failover.to_first_commit_us},
            {"to_client_commit_us", failover.to_client_commit_us}};
}

const char* to_string(WaitMode mode) {
    switch (mode) {
    case WaitMode::adaptive:
        return "adaptive";
    case WaitMode::spin:
        return "spin";
    case WaitMode::sleep:
        return "sleep";
    }
    return "?";
}

std::string names_of(const nlohmann::json& document) {
    std::string names;
    for (const auto& [name, value] : document.items())
        if (value.is_array())
            names += fmt::format(" {} of {}", value.size(), name);
    return names;
}

void print(const nlohmann::json& document) {
    const auto number = [](const nlohmann::json& value) { return value.get<double>(); };
    fmt::print("{} replicas over {}, waiting: {}\n", document["replicas"].get<int>(),
               document["fabric"].get<std::string>(), document["wait"].get<std::string>());
    if (document.contains("latency")) {
        fmt::print(
            "T1: one WRITE of 64 bytes; TF: fan-out of the entry's size until a majority has it; log: the same "
            "through memory as large as a log, which is read. commit: of an entry that was built in place; copied: "
            "of one that propose() copies. Microseconds, p50 / p99\n");
        fmt::print("{:>7} {:>6} {:>13} {:>13} {:>21} {:>13} {:>13} {:>13} {:>6} {:>9}\n", "payload", "T1", "TF",
                   "log", "commit (p99.9)", "copied", "commit/TF", "commit/log", "writes", "doorbells");
    }
    for (const auto& row : document.value("latency", nlohmann::json::array())) {
        const auto both = [&](const char* name) {
            return fmt::format("{:.2f} / {:.2f}", number(row[name]["p50"]), number(row[name]["p99"]));
        };
        const auto ratios = [&](const char* to) {
            return fmt::format("{:.2f} / {:.2f}", number(row["commit"]["p50"]) / number(row[to]["p50"]),
                               number(row["commit"]["p99"]) / number(row[to]["p99"]));
        };
        fmt::print("{:>7} {:>6.2f} {:>13} {:>13} {:>21} {:>13} {:>13} {:>13} {:>6.2f} {:>9.2f}\n",
                   row["payload"].get<int>(), number(row["t1"]["p50"]), both("tf"), both("tf_log"),
                   fmt::format("{} ({:.2f})", both("commit"), number(row["commit"]["p99.9"])),
                   both("commit_copied"), ratios("tf"), ratios("tf_log"), number(row["writes_per_commit"]),
                   number(row["doorbells_per_commit"]));
    }
    for (const auto& row : document.value("throughput", nlohmann::json::array()))
        fmt::print("payload {:>5}, {:>2} on their way: {:>9.0f} entries/s, commit p50 {:.2f} us, p99 {:.2f} us, "
                   "{:.2f} WRITEs per commit\n",
                   row["payload"].get<int>(), row["depth"].get<int>(), number(row["entries_per_s"]),
                   number(row["commit"]["p50"]), number(row["commit"]["p99"]), number(row["writes_per_commit"]));
    if (document.contains("cost")) {
        const auto& cost = document["cost"];
        fmt::print(
            "{} commits: {} allocations; per commit {:.2f} WRITEs of entries, {:.2f} work requests and {:.2f} "
            "doorbells of any kind\n",
            cost["commits"].get<std::uint64_t>(), cost["allocations"].get<std::uint64_t>(),
            number(cost["writes_per_commit"]), number(cost["work_requests_per_commit"]),
            number(cost["doorbells_per_commit"]));
    }
    for (const auto& row : document.value("dead_follower", nlohmann::json::array()))
        fmt::print("payload {:>5}: commit p50 {:.2f} us, with one follower dead {:.2f} us ({:+.1f} %)\n",
                   row["payload"].get<int>(), number(row["all"]["p50"]), number(row["one_dead"]["p50"]),
                   100 * (number(row["one_dead"]["p50"]) / number(row["all"]["p50"]) - 1));
    if (document.contains("t1"))
        fmt::print("T1 p50 {:.2f} us\n", number(document["t1"]["p50"]));
    if (document.contains("failover")) {
        const auto& failover = document["failover"];
        fmt::print("from the candidacy: leader after {:.1f} us, first commit {:.1f} us, first client's {:.1f} us\n",
                   number(failover["to_leadership_us"]), number(failover["to_first_commit_us"]),
                   number(failover["to_client_commit_us"]));
    }
}

} // namespace rdma_paxos::bench
