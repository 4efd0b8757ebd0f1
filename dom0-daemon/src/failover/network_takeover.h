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
// reached. Where one step fails for one vif the others are still tried; the first error is returned.
Result<void> take_over_network(const TakeoverPlan& plan, const std::function<bool()>& stopping,
                               const std::function<void()>& moved);

} // namespace tripod::failover
