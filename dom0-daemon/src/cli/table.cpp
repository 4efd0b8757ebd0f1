// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <ctime>

#include <fmt/core.h>

#include "control/json.h"
#include "record/divergence.h"

namespace tripod::cli {

namespace {

using control::replica_state_name;
using control::role_name;
using control::vm_state_name;

// Nothing that came over a wire may move the cursor or forge a line.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return out;
}

std::string backups_text(const VmStatus& vm) {
    std::string out;
    for (const ReplicaStatus& b : vm.backups)
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", printable(b.host), replica_state_name(b.state));
    return out.empty() ? "-" : out;
}

std::string index_text(const VmStatus& vm) {
    return fmt::format("{}/{}/{}", number(vm.last), number(vm.committed), number(vm.applied));
}

std::string time_text(std::int64_t time_ns) {
    const std::time_t seconds = time_ns / 1'000'000'000;
    tm parts{};
    localtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time_ns / 1'000'000 % 1000);
}

std::string fact(std::string_view name, std::string_view value) {
    return fmt::format("{:<23}: {}\n", name, printable(value));
}

} // namespace

std::string list_table(const std::vector<VmStatus>& vms) {
    // Name and ID stand where xl list has them.
    std::string out = fmt::format("{:<40} {:>5}  {:<7}  {:<11}  {:<23}  {:>23}  {:>5}\n", "Name", "ID", "Role",
                                  "State", "Backups", "Last/Committed/Applied", "Term");
    for (const VmStatus& vm : vms)
        out += fmt::format("{:<40} {:>5}  {:<7}  {:<11}  {:<23}  {:>23}  {:>5}\n", printable(vm.name),
                           number(vm.domid), role_name(vm.role), vm_state_name(vm.state), backups_text(vm),
                           index_text(vm), number(vm.term));
    return out;
}

std::string status_text(const VmStatus& vm) {
    std::string out;
    out += fact("name", vm.name);
    out += fact("domid", fmt::format("{}", number(vm.domid)));
    out += fact("role", role_name(vm.role));
    out += fact("state", vm_state_name(vm.state));
    if (vm.reason)
        out += fact("reason", *vm.reason);
    out += fact("primary", vm.primary);
    out += fact("term", fmt::format("{}", number(vm.term)));
    out += fact("index_last", fmt::format("{}", number(vm.last)));
    out += fact("index_committed", fmt::format("{}", number(vm.committed)));
    out += fact("index_applied", fmt::format("{}", number(vm.applied)));
    out += fact("log_records", fmt::format("{} ({} bytes)", vm.counters.log_records, vm.counters.log_bytes));
    out += fact("state_transferred", fmt::format("{} bytes", vm.counters.state_bytes));
    out += fact("intercepted_calls", fmt::format("{}", vm.counters.intercepted_calls));
    out += fact("waiting_threads", fmt::format("{}", vm.counters.waiting_threads));
    if (vm.counters.gate_frames != 0)
        out +=
            fact("gate", fmt::format("{} frames in {} batches, {} held (at most {}), for {} us (p50), {} us (p99)",
                                     vm.counters.gate_frames, vm.counters.gate_releases, vm.counters.gate_held,
                                     vm.counters.gate_held_max, vm.counters.gate_held_p50_us,
                                     vm.counters.gate_held_p99_us));
    for (const ReplicaStatus& b : vm.backups) {
        std::string text = fmt::format("{}, holds {}", replica_state_name(b.state), number(b.acknowledged));
        if (b.applied)
            text += fmt::format(", applied {}", number(*b.applied));
        if (b.heartbeat_ms)
            text += fmt::format(", heartbeat {} ms ago", *b.heartbeat_ms);
        if (b.reason)
            text += ": " + *b.reason;
        out += fact("backup " + printable(b.host), text);
    }
    if (vm.divergence) {
        const auto& d = *vm.divergence;
        out += fact("diverged", record::divergence_text(d.seq, d.tid, d.nr, d.reason, d.expected, d.found));
    }
    for (const Event& e : vm.events)
        out += fact(time_text(e.time_ns), e.detail.empty() ? e.name : e.name + ": " + e.detail);
    return out;
}

std::string info_text(const InfoReply& info) {
    std::string out;
    out += fact("host", info.host);
    out += fact("tripodd_version", info.daemon_version);
    out += fact("interface_version", fmt::format("{}", info.interface_version));
    out += fact("xen_version", info.xen_version);
    out += fact("xen_interface_version", info.xen_interface_version ? fmt::format("{}", *info.xen_interface_version)
                                                                    : "none: this Xen is not patched");
    out += fact("listen", info.listen);
    out += fact("rdma_device", info.rdma_device.empty() ? "none" : info.rdma_device);
    out += fact("protected_vms", fmt::format("{}", info.protected_vms));
    return out;
}

} // namespace tripod::cli
