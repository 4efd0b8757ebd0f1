// SPDX-License-Identifier: Apache-2.0
//
// Puts a VM that went live onto the real network: stale connections reset, vifs moved, address announced, clients
// told.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "replicate/connections.h"
#include "xen/toolstack.h"

namespace tripod::failover {

struct TakeoverPlan {
    std::string vm;
    DomId domid{};
    std::vector<xen::Vif> vifs;
    std::map<int, std::string> bridges; // by device id
    std::vector<replicate::Connection> connections;
};

// Blocks until the announcements are out and the clients are reset; `moved` is called as soon as the VM can be
// reached: all its vifs are on their bridges. If one of them cannot be moved, the others are, `moved` is not
// called, and the error says why: try again then, as a whole. What else fails is only logged: clients then take
// longer to find the VM.
Result<void> take_over_network(const TakeoverPlan& plan, const std::function<bool()>& stopping,
                               const std::function<void()>& moved);

} // namespace tripod::failover
