// SPDX-License-Identifier: Apache-2.0
//
// What two daemons say to each other, as values; the JSON on the wire is written down in docs/wire-format.md.
//
// parse_* take bytes that are not trusted: a wrong shape is ErrorCode::protocol, never a crash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <public/tripod.h>

#include "base/error.h"
#include "group/fabric_factory.h"

namespace tripod::peer {

inline constexpr uint32_t protocol_version = 1;
// Longest domain configuration, so that prepare fits one frame even when every byte of it must be escaped.
inline constexpr size_t config_bytes_max = 96 * 1024;

using GroupKey = std::array<uint8_t, 16>;

struct Hello {
    uint32_t protocol = protocol_version;
    uint32_t interface_version = TRIPOD_INTERFACE_VERSION;
    std::optional<uint32_t> xen_interface_version; // none: Xen without the patches
    std::string host;
    std::string instance; // random per daemon start: tells whether two names are one daemon
    std::string refusal;  // why this host can take no VM at all; empty: it can
};

struct Timing {
    int64_t heartbeat_ms = 20, election_min_ms = 300, election_max_ms = 500, lease_ms = 250, slow_backup_ms = 3000;
};

// {"op": "prepare"}: make ready to take a copy of this VM.
struct Prepare {
    std::string vm, uuid, primary;
    GroupKey group{};
    uint8_t replica = 0; // the id that the receiver gets
    std::string config_json;
    std::map<int, std::string> bridges; // by device id: where each vif goes at a failover
    tripod_profile profile{};
    uint32_t ring_pages = 0;
    uint64_t log_bytes = 0;
    uint64_t memory_kib = 0;
    Timing timing;
};

struct Prepared {
    uint16_t rendezvous_port = 0;
};

// {"op": "start"}: these are the members; found the group.
struct Start {
    std::vector<group::Member> members;
    uint8_t initial_leader = 0;
};

// Body of state_end.
struct StateEnd {
    uint64_t raw_bytes = 0, chunks = 0, digest = 0; // digest: XXH64, seed 0, of the raw stream
};

// Requests without anything else: {"op": "confirm"}: keep the replica when this connection ends.
std::string op_json(std::string_view op);

// {"op": "links"}: which members of the group do you not reach? Answered with their hosts' names.
std::string unreached_json(const std::vector<std::string>& hosts);

// Notice {"op": "diverged"}: the sender's replica strayed from the log.
struct Diverged {
    std::string vm;
    GroupKey group{};
    std::string host;
    std::string detail;
    std::optional<uint64_t> applied; // the last index that its VM applied
};

// {"op": "hand_over"}: a backup asks the primary to pass the VM on to it. Answered once the group has decided so.
struct HandOver {
    std::string vm;
    GroupKey group{};
    uint8_t replica = 0; // the sender's id in the group
};

// {"op": "whereabouts"}: does the VM run at the receiver, which took it over? Asked by a daemon that finds the VM
// in its own Xen without knowing its group any more.
struct Whereabouts {
    std::string vm, uuid;
};

std::string to_json(const Hello& hello);
std::string to_json(const Prepare& prepare);
std::string to_json(const Prepared& prepared);
std::string to_json(const Start& start);
std::string to_json(const StateEnd& end);
std::string to_json(const Diverged& diverged);
std::string to_json(const HandOver& request);
std::string to_json(const Whereabouts& question);
std::string runs_here_json(bool runs);
std::string error_json(const Error& error);

// The "op" of a request.
Result<std::string> parse_op(std::string_view text);
Result<Hello> parse_hello(std::string_view text);
Result<Prepare> parse_prepare(std::string_view text);
Result<Prepared> parse_prepared(std::string_view text);
Result<Start> parse_start(std::string_view text);
Result<StateEnd> parse_state_end(std::string_view text);
Result<Diverged> parse_diverged(std::string_view text);
Result<HandOver> parse_hand_over(std::string_view text);
Result<Whereabouts> parse_whereabouts(std::string_view text);
Result<std::vector<std::string>> parse_unreached(std::string_view text);
Result<bool> parse_runs_here(std::string_view text);
// The error that the other side sent; `host` is put before its message.
Error parse_error(std::string_view text, const std::string& host);

} // namespace tripod::peer
