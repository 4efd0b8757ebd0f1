// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the benchmark measure, each with a leader whose group has gathered.
#pragma once

#include "../bench/latencies.h"
#include "../bench/station.h"

namespace rdma_paxos::bench {

/// One payload: T1, TF and commits, in turns.
struct LatencyRow {
    std::size_t payload = 0;
    Latencies single;             ///< T1
    Latencies fan_out;            ///< TF: from and to the same place, so the bytes lie in caches
    Latencies log_fan_out;        ///< the same through memory as large as the log, as a log is written and read
    Latencies commit;             ///< of an entry that lies in the log's memory already, as what is fanned out does
    Latencies copied;             ///< of an entry that is copied there, by propose()
    double writes_per_commit = 0; ///< WRITEs of entries
    double doorbells_per_commit = 0; ///< of all, heartbeats and rows included
};

/// None: a link broke, or leadership was lost.
std::optional<LatencyRow> measure_latency(Station& station, WaitMode wait, std::size_t payload, std::size_t rounds);

/// Commits alone: for a group that is not complete.
std::optional<Latencies> measure_commits(Station& station, WaitMode wait, std::size_t payload, std::size_t rounds);

/// `depth` entries are kept on their way.
struct ThroughputRow {
    std::size_t payload = 0;
    std::size_t depth = 0;
    double entries_per_s = 0;
    double writes_per_commit = 0;
    Latencies commit; ///< of each entry, from propose()
};

std::optional<ThroughputRow> measure_throughput(Station& station, WaitMode wait, std::size_t payload,
                                                std::size_t depth, Nanoseconds duration);

/// What the commit path takes from others: counted on the leader's thread, over `commits` rounds of propose, flush
/// and ticks until committed. Marked in a trace of system calls by getpgid(begin_mark) and getpgid(end_mark).
struct CostRow {
    std::size_t commits = 0;
    std::uint64_t allocations = 0;
    double writes_per_commit = 0;
    double work_requests_per_commit = 0;
    double doorbells_per_commit = 0;
};
inline constexpr int begin_mark = 1234567;
inline constexpr int end_mark = 1234568;

std::optional<CostRow> measure_cost(Station& station, std::size_t payload, std::size_t commits);

} // namespace rdma_paxos::bench
