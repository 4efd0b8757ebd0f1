// SPDX-License-Identifier: Apache-2.0
#include "control/json.h"

#include <array>
#include <utility>

#include <fmt/core.h>

namespace tripod::control {

namespace {

template <typename E, std::size_t N>
using Names = std::array<std::pair<E, const char*>, N>;

constexpr Names<Role, 2> role_names{{{Role::primary, "primary"}, {Role::backup, "backup"}}};

constexpr Names<ReplicaState, 7> replica_state_names{{{ReplicaState::syncing, "syncing"},
                                                      {ReplicaState::ok, "ok"},
                                                      {ReplicaState::catching_up, "catching-up"},
                                                      {ReplicaState::diverged, "diverged"},
                                                      {ReplicaState::lost, "lost"},
                                                      {ReplicaState::dead, "dead"},
                                                      {ReplicaState::isolated, "isolated"}}};

constexpr Names<VmState, 11> vm_state_names{{{VmState::protecting, "protecting"},
                                             {VmState::protected_, "protected"},
                                             {VmState::degraded, "degraded"},
                                             {VmState::stalled, "stalled"},
                                             {VmState::broken, "broken"},
                                             {VmState::unprotected, "unprotected"},
                                             {VmState::catching_up, "catching-up"},
                                             {VmState::diverged, "diverged"},
                                             {VmState::lost, "lost"},
                                             {VmState::electing, "electing"},
                                             {VmState::live, "live"}}};

template <typename E, std::size_t N>
const char* name_of(const Names<E, N>& names, E value) {
    for (const auto& [v, name] : names)
        if (v == value)
            return name;
    return "unknown";
}

template <typename E, std::size_t N>
E value_of(const Names<E, N>& names, std::string_view name) {
    for (const auto& [v, n] : names)
        if (name == n)
            return v;
    return names[0].first;
}

template <typename T>
Json or_null(const std::optional<T>& value) {
    if (!value)
        return nullptr;
    if constexpr (std::is_enum_v<T>)
        return number(*value);
    else
        return *value;
}

const Json& member(const Json& json, const char* name) {
    static const Json nothing;
    const auto it = json.is_object() ? json.find(name) : json.end();
    return it == json.end() ? nothing : *it;
}

template <typename T>
std::optional<T> optional_number(const Json& json, const char* name) {
    const Json& m = member(json, name);
    return m.is_number_integer() ? std::optional(m.get<T>()) : std::nullopt;
}

std::optional<std::string> optional_text(const Json& json, const char* name) {
    const Json& m = member(json, name);
    return m.is_string() ? std::optional(m.get<std::string>()) : std::nullopt;
}

Json to_json(const ReplicaStatus& replica) {
    return {{"host", replica.host},
            {"state", replica_state_name(replica.state)},
            {"acknowledged", number(replica.acknowledged)},
            {"applied", or_null(replica.applied)},
            {"heartbeat_ms", or_null(replica.heartbeat_ms)},
            {"reason", or_null(replica.reason)}};
}

Json to_json(const DivergenceStatus& d) {
    return {{"seq", d.seq},       {"expected", d.expected}, {"found", d.found},
            {"reason", d.reason}, {"tid", d.tid},           {"nr", d.nr}};
}

Json to_json(const VmCounters& c) {
    return {{"state_bytes", c.state_bytes},
            {"state_chunks", c.state_chunks},
            {"log_bytes", c.log_bytes},
            {"log_records", c.log_records},
            {"intercepted_calls", c.intercepted_calls},
            {"waiting_threads", c.waiting_threads},
            {"gate_frames", c.gate_frames},
            {"gate_releases", c.gate_releases},
            {"gate_held", c.gate_held},
            {"gate_held_max", c.gate_held_max},
            {"gate_held_p50_us", c.gate_held_p50_us},
            {"gate_held_p99_us", c.gate_held_p99_us},
            {"commits", c.commits}};
}

} // namespace

const char* role_name(Role role) {
    return name_of(role_names, role);
}
const char* replica_state_name(ReplicaState state) {
    return name_of(replica_state_names, state);
}
const char* vm_state_name(VmState state) {
    return name_of(vm_state_names, state);
}

Json to_json(const Event& event) {
    Json json{{"name", event.name}, {"time_ns", event.time_ns}};
    if (!event.detail.empty())
        json["detail"] = event.detail;
    return json;
}

Json to_json(const VmStatus& s) {
    Json backups = Json::array();
    for (const ReplicaStatus& b : s.backups)
        backups.push_back(to_json(b));
    Json events = Json::array();
    for (const Event& e : s.events)
        events.push_back(to_json(e));
    return {
        {"schema", json_schema},
        {"name", s.name},
        {"domid", number(s.domid)},
        {"role", role_name(s.role)},
        {"state", vm_state_name(s.state)},
        {"reason", or_null(s.reason)},
        {"primary", s.primary},
        {"backups", std::move(backups)},
        {"index", {{"last", number(s.last)}, {"committed", number(s.committed)}, {"applied", number(s.applied)}}},
        {"term", number(s.term)},
        {"counters", to_json(s.counters)},
        {"divergence", s.divergence ? to_json(*s.divergence) : Json(nullptr)},
        {"events", std::move(events)}};
}

Json list_to_json(const std::vector<VmStatus>& vms) {
    Json list = Json::array();
    for (const VmStatus& vm : vms)
        list.push_back(to_json(vm));
    return {{"schema", json_schema}, {"vms", std::move(list)}};
}

Json to_json(const InfoReply& i) {
    return {{"schema", json_schema},
            {"daemon_version", i.daemon_version},
            {"interface_version", i.interface_version},
            {"xen_interface_version", or_null(i.xen_interface_version)},
            {"xen_version", i.xen_version},
            {"host", i.host},
            {"listen", i.listen},
            {"rdma_device", i.rdma_device},
            {"protected_vms", i.protected_vms}};
}

Json to_json(const TraceStart& start) {
    return {{"name", start.name}, {"domid", number(start.domid)}, {"realtime_offset_ns", start.realtime_offset_ns}};
}

Json to_json(const Error& error) {
    return {{"code", static_cast<int>(error.code)},
            {"name", error_code_name(error.code)},
            {"message", error.message},
            {"remedy", error.remedy}};
}

std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::optional<Json> parse_object(std::string_view text) {
    Json json = Json::parse(text.begin(), text.end(), nullptr, false);
    if (!json.is_object())
        return std::nullopt;
    return json;
}

std::string text_or(const Json& json, const char* name, const std::string& otherwise) {
    const Json& m = member(json, name);
    return m.is_string() ? m.get<std::string>() : otherwise;
}

VmStatus vm_status_from(const Json& json) {
    VmStatus s;
    s.name = text_or(json, "name");
    s.domid = DomId{number_or<std::uint32_t>(json, "domid", 0)};
    s.role = value_of(role_names, text_or(json, "role"));
    s.state = value_of(vm_state_names, text_or(json, "state"));
    s.reason = optional_text(json, "reason");
    s.primary = text_or(json, "primary");
    for (const Json& b : member(json, "backups")) {
        ReplicaStatus r;
        r.host = text_or(b, "host");
        r.state = value_of(replica_state_names, text_or(b, "state"));
        r.acknowledged = Index{number_or<std::uint64_t>(b, "acknowledged", 0)};
        if (const auto applied = optional_number<std::uint64_t>(b, "applied"))
            r.applied = Index{*applied};
        r.heartbeat_ms = optional_number<std::int64_t>(b, "heartbeat_ms");
        r.reason = optional_text(b, "reason");
        s.backups.push_back(std::move(r));
    }
    const Json& index = member(json, "index");
    s.last = Index{number_or<std::uint64_t>(index, "last", 0)};
    s.committed = Index{number_or<std::uint64_t>(index, "committed", 0)};
    s.applied = Index{number_or<std::uint64_t>(index, "applied", 0)};
    s.term = Term{number_or<std::uint64_t>(json, "term", 0)};
    const Json& c = member(json, "counters");
    s.counters = {number_or<std::uint64_t>(c, "state_bytes", 0),
                  number_or<std::uint64_t>(c, "state_chunks", 0),
                  number_or<std::uint64_t>(c, "log_bytes", 0),
                  number_or<std::uint64_t>(c, "log_records", 0),
                  number_or<std::uint64_t>(c, "intercepted_calls", 0),
                  number_or<std::uint64_t>(c, "waiting_threads", 0),
                  number_or<std::uint64_t>(c, "gate_frames", 0),
                  number_or<std::uint64_t>(c, "gate_releases", 0),
                  number_or<std::uint64_t>(c, "gate_held", 0),
                  number_or<std::uint64_t>(c, "gate_held_max", 0),
                  number_or<std::uint64_t>(c, "gate_held_p50_us", 0),
                  number_or<std::uint64_t>(c, "gate_held_p99_us", 0),
                  number_or<std::uint64_t>(c, "commits", 0)};
    if (const Json& d = member(json, "divergence"); d.is_object())
        s.divergence =
            DivergenceStatus{number_or<std::uint64_t>(d, "seq", 0),   number_or<std::uint64_t>(d, "expected", 0),
                             number_or<std::uint64_t>(d, "found", 0), number_or<std::uint32_t>(d, "reason", 0),
                             number_or<std::uint32_t>(d, "tid", 0),   number_or<std::uint16_t>(d, "nr", 0)};
    for (const Json& e : member(json, "events"))
        s.events.push_back({text_or(e, "name"), number_or<std::int64_t>(e, "time_ns", 0), text_or(e, "detail")});
    return s;
}

InfoReply info_from(const Json& json) {
    return {text_or(json, "daemon_version"),
            number_or<std::uint32_t>(json, "interface_version", 0),
            optional_number<std::uint32_t>(json, "xen_interface_version"),
            text_or(json, "xen_version"),
            text_or(json, "host"),
            text_or(json, "listen"),
            text_or(json, "rdma_device"),
            number_or<std::uint64_t>(json, "protected_vms", 0)};
}

TraceStart trace_start_from(const Json& json) {
    return {text_or(json, "name"), DomId{number_or<std::uint32_t>(json, "domid", 0)},
            number_or<std::int64_t>(json, "realtime_offset_ns", 0)};
}

Error error_from(const Json& json) {
    return {error_code_from_number(number_or<long>(json, "code", 1)),
            text_or(json, "message", "the daemon gave no reason"), text_or(json, "remedy")};
}

} // namespace tripod::control
