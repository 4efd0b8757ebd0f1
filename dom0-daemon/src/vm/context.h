// SPDX-License-Identifier: Apache-2.0
//
// What every part of the daemon needs of it. One object, made by main(), outlives all else; read from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <rdma_paxos/cluster_key.h>

#include "base/error.h"
#include "config/config.h"
#include "events/events.h"
#include "gate/gate.h"
#include "group/fabric_factory.h"
#include "vm/tasks.h"
#include "xen/domctl.h"
#include "xen/toolstack.h"

namespace tripod::vm {

struct Context {
    const Config& config;
    Events& events;
    Tasks& tasks;
    rdma_paxos::ClusterKey cluster_key;
    std::string instance; // random per daemon start

    // What this host has. Looked up once: neither changes while the daemon runs.
    std::optional<uint32_t> xen_interface_version; // none: Xen without the patches
    std::string rdma_device;                       // empty: none
    std::unique_ptr<group::FabricFactory> fabrics; // null without a device

    // Foreign interfaces, opened per operation: an object of theirs belongs to one thread.
    std::function<Result<std::unique_ptr<xen::Toolstack>>()> open_toolstack;
    std::function<Result<std::unique_ptr<xen::Domctl>>()> open_domctl;

    // The VM's exit (gate/): whoever listens to its frames, and the rule that sends all of them there, or takes
    // them from there.
    std::function<Result<std::unique_ptr<gate::Gate>>(DomId)> open_gate;
    std::function<Result<void>(DomId)> shut_exit, free_exit;

    // Why this host can neither protect a VM nor take a copy: no patched Xen, another version, no RDMA device.
    Result<void> fit() const;
};

// The same failure as the daemon's own error.
inline Error as_error(const xen::Error& error, ErrorCode code = ErrorCode::other) {
    return {code, error.what, {}};
}

} // namespace tripod::vm
