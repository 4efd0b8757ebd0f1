// SPDX-License-Identifier: Apache-2.0
//
// What the daemon can do, as the command sees it. The control server translates between the local socket and a
// Service; it checks nothing but the shape of the request.
//
// Threading: every client has a thread of its own, which calls one method and may stay in it for long. All methods
// may therefore be called at the same time from several threads, two on the same VM included (answer the second
// with ErrorCode::not_now rather than wait). An implementation never throws.
//
// Failure: the returned Error goes to the admin as it is; a request that failed has changed nothing that lasts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "events/events.h"

namespace tripod {

// ---------------------------------------------------------------- what long work reports to

// Made by the control server, valid during the call; only for the thread that made the call.
class Progress {
  public:
    virtual ~Progress() = default;
    // One line for people, without newline: "h2: 37 of 128 MiB". Cheap, never blocks for long, never fails.
    virtual void say(std::string_view line) = 0;
    // True once the client has gone (Ctrl-C) or the daemon is stopping. Long work looks at least once a second,
    // undoes what it began and returns ErrorCode::cancelled; past the point of no return it ignores this and
    // completes.
    virtual bool cancelled() = 0;
};

// ---------------------------------------------------------------- requests

// `vm` is always what the admin typed: a name, or a decimal domid.

struct ProtectRequest {
    std::string vm;
    std::vector<std::string> backups;   // host names or addresses, as typed; never empty
    std::optional<std::string> profile; // path in dom0 of the guest's kernel image; none: the domain's own `kernel`
    std::optional<std::string> bridge;  // real bridge to move the vif to at failover; none: the one it is on now
};

struct FailoverRequest {
    std::string vm;
    bool isolated = false; // go live here without moving the network: for drills and checks. The group goes on
                           // without this replica, and its VM can reach nobody.
};

// ---------------------------------------------------------------- answers

enum class Role : std::uint8_t { primary, backup };

enum class ReplicaState : std::uint8_t {
    syncing,     // state transfer runs
    ok,          // follows the log
    catching_up, // follows, but behind
    diverged,    // unfit: strayed from the log, will not be promoted
    lost,        // unfit: its copy does not run any more, or missed more than the log holds
    dead,        // no heartbeat
    isolated,    // went live by `failover --isolated`; no member any more
};

enum class VmState : std::uint8_t {
    protecting,  // protect runs
    protected_,  // every backup is ok
    degraded,    // a majority goes on, at least one backup is not ok
    stalled,     // no majority, or not the leader: outputs wait
    broken,      // its guest did what cannot be logged: nothing leaves it, a backup may take over
    unprotected, // protection has ended by itself, and the VM runs on alone
    catching_up, // on a backup: behind the committed index
    diverged,    // on a backup: this replica strayed
    lost,        // on a backup: its copy does not run any more, or missed more than the log holds
    electing,    // on a backup: the primary is gone, the election or the drain runs
    live,        // runs here after a failover, or isolated
};

struct ReplicaStatus {
    std::string host;
    ReplicaState state = ReplicaState::syncing;
    Index acknowledged{};                     // last index this host is known to hold
    std::optional<Index> applied;             // last index its VM applied, when known
    std::optional<std::int64_t> heartbeat_ms; // age of its last heartbeat
    std::optional<std::string> reason;        // why it cannot take over, when more is known than the state says
};

// Filled in only where TRIPOD_OP_status reported one.
struct DivergenceStatus {
    std::uint64_t seq = 0, expected = 0, found = 0;
    std::uint32_t reason = 0, tid = 0; // reason: enum tripod_reason
    std::uint16_t nr = 0;
};

// What has gone over the network and through the rings for one VM since protect began.
struct VmCounters {
    std::uint64_t state_bytes = 0;  // state transfer, as sent (compressed)
    std::uint64_t state_chunks = 0; // frames of state transfer; stands still after protect
    std::uint64_t log_bytes = 0;    // records proposed (primary) or received (backup)
    std::uint64_t log_records = 0;
    std::uint64_t intercepted_calls = 0;
    std::uint64_t waiting_threads = 0;
    // The primary's gate. Times are those that batches of frames were held.
    std::uint64_t gate_frames = 0;   // seen
    std::uint64_t gate_releases = 0; // batches
    std::uint64_t gate_held = 0;     // now
    std::uint64_t gate_held_max = 0;
    std::uint64_t gate_held_p50_us = 0, gate_held_p99_us = 0;
    std::uint64_t commits = 0; // entries of records
};

struct VmStatus {
    std::string name;
    DomId domid{};
    Role role = Role::primary;
    VmState state = VmState::protecting;
    std::optional<std::string> reason;    // why it is not protected
    std::string primary;                  // host name of the primary as this host knows it
    std::vector<ReplicaStatus> backups;   // the primary: each backup. A backup: itself, and others as far as known
    Index last{}, committed{}, applied{}; // of this host
    Term term{};
    VmCounters counters;
    std::optional<DivergenceStatus> divergence;
    std::vector<Event> events; // oldest first
};

struct InfoReply {
    std::string daemon_version;
    std::uint32_t interface_version = 0;                // TRIPOD_INTERFACE_VERSION the daemon was built with
    std::optional<std::uint32_t> xen_interface_version; // what Xen says; none: Xen without the patches
    std::string xen_version;                            // "4.17.5"
    std::string host;
    std::string listen;      // address:port for peers
    std::string rdma_device; // empty: none
    std::uint64_t protected_vms = 0;
};

// ---------------------------------------------------------------- trace

struct TraceStart {
    std::string name;
    DomId domid{};
    std::int64_t realtime_offset_ns =
        0; // CLOCK_REALTIME minus Xen system time: makes wall time of tripod_record.time_ns
};

// Where a trace goes. As Progress: only for the calling thread.
class TraceSink {
  public:
    virtual ~TraceSink() = default;
    // Once, before the first records: from here on the trace misses nothing.
    virtual void begin(const TraceStart& start) = 0;
    // Whole records (struct tripod_record and its segments, one after the other, 8-byte sizes), oldest first, never
    // `pad`. Blocks while the client does not read: the caller keeps a bounded buffer and counts what it must drop.
    // False: the client wants no more (gone, or has its count); trace() then returns.
    virtual bool records(std::span<const std::byte> bytes) = 0;
    // `count` records are missing at this place.
    virtual void dropped(std::uint64_t count) = 0;
    // True once the client has gone or has enough; looked at at least every 200 ms while there are no records.
    virtual bool cancelled() = 0;
};

// ---------------------------------------------------------------- the service

class Service {
  public:
    virtual ~Service() = default;

    // Returns when every backup follows the log (or with the error, the VM running on as before).
    virtual Result<VmStatus> protect(const ProtectRequest& request, Progress& progress) = 0;
    // Ends protection on the primary: backups' replicas are destroyed, the VM runs on untouched. On a backup whose
    // primary is gone: destroys the local replica.
    virtual Result<void> unprotect(const std::string& vm, Progress& progress) = 0;
    // Every replica on this host, by name; `events` may be left empty.
    virtual Result<std::vector<VmStatus>> list() = 0;
    virtual Result<VmStatus> status(const std::string& vm) = 0;
    // On a backup: make this replica the primary. Returns once it is live (and, unless isolated, on the network).
    virtual Result<VmStatus> failover(const FailoverRequest& request, Progress& progress) = 0;
    // Streams the VM's records until the sink is cancelled or the VM goes. A VM that is not protected is put into
    // TRIPOD_MODE_trace for as long as it lasts, and left as it was found.
    virtual Result<void> trace(const std::string& vm, TraceSink& sink) = 0;
    virtual Result<InfoReply> info() = 0;
};

} // namespace tripod
