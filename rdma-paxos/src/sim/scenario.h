// SPDX-License-Identifier: Apache-2.0
//
// All that a seed decides before the run begins: the group, the fabric, the load, and the plan of faults.
#pragma once

#include "rdma_paxos/config.h"
#include "sim/sim_network.h"
#include "sim/sim_storage.h"

#include <string>
#include <vector>

namespace rdma_paxos::sim {

enum class FaultKind : std::uint8_t {
    stop_program,          ///< a replica does not run; its memory is still written
    stop_host,             ///< ... and its memory neither
    stop_majority,         ///< programs, which return one by one
    cut_one_way,           ///< node -> other
    cut_pair,              ///< node <-> other
    isolate,               ///< node, from everybody
    partition,             ///< into two halves
    slow_path,             ///< node -> other takes longer
    fail_links,            ///< queue pairs of node break, at once
    tear_writes,           ///< the next WRITEs of node leave a prefix, and their queue pairs break
    refuse_connects,       ///< queue pairs of node do not come back
    refuse_resets,         ///< ... and cannot be reset
    lose_messages,         ///< of the rendezvous, most
    lose_acknowledgements, ///< works land, and fail
    refuse_entries,        ///< the listener of node takes no entry
    change_clock,          ///< of node, to another rate within the bounds
    load,                  ///< many proposals at once
    unseat_leaders,        ///< whoever becomes leader is cut off after its first few writes
    crash,                 ///< node's memory is lost; without a disk, so is its membership
    crash_majority,        ///< at once; with disks only
    crash_all,             ///< likewise
    lose_disk,             ///< node crashes and loses its disk, too
    rot,                   ///< a part of what node's disk holds cannot be read any more: found at its next start
    lose_write,            ///< node's disk reports a write, and does not have it: likewise
    fail_disk,             ///< full, or gone; the replica is started anew afterwards
    slow_disk,
    change_members, ///< replace, grow, shrink, witness: see Operator
    transfer,       ///< leadership is handed over on request
    abstain,        ///< node never leads again
    count,
};
inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(FaultKind::count);

const char* to_string(FaultKind kind);

struct Fault {
    FaultKind kind = FaultKind::stop_program;
    Nanoseconds at{};
    Nanoseconds length{};
    ReplicaId node;
    ReplicaId other;
    std::uint64_t seed = 0; ///< of what it draws itself
};

std::string to_string(const Fault& fault);

struct Load {
    std::size_t clients = 0;
    Nanoseconds think_max{}; ///< of a client, between an answer and the next call
    Nanoseconds timeout{};   ///< after which a client gives up
    double lease_reads = 0;  ///< of reads: the share that is answered by a leader under its lease
    std::size_t bulk_max = 0;
};

struct Scenario {
    std::uint64_t seed = 0;
    Config config; ///< `self`, `founding` and `seed` are set for each replica
    NetworkOptions network;
    bool durable = false;
    DiskOptions disk;
    double save_probability = 0; ///< of a command to be followed by saving the state
    Load load;
    Nanoseconds stutter_max{}; ///< on overloaded hosts programs get the processor only so often; to the very end
    Nanoseconds poll_max{};    ///< how long a replica takes to notice what was written into its memory
    Nanoseconds duration{};    ///< of the phase with faults
    Nanoseconds recovery{};    ///< within which a healed majority must make progress again
    std::vector<Fault> faults; ///< in order of time
};

Scenario draw_scenario(std::uint64_t seed);

} // namespace rdma_paxos::sim
