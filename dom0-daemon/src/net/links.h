// SPDX-License-Identifier: Apache-2.0
//
// The host's network devices, through rtnetlink.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "net/address.h"

namespace tripod::net {

/**
 * Makes sure that there is a bridge of that name and that it is up. A new one is isolated: no uplink, and no
 * address of dom0's, so that a guest on it reaches nobody. An existing bridge keeps its ports. Repeating it does no
 * harm. Fails when a device of that name exists that is no bridge.
 */
Result<void> ensure_bridge(const std::string& name);

/** Fails unless there is a Linux bridge of that name; the error says what there is. Changes nothing. */
Result<void> check_bridge(const std::string& name);

/**
 * Makes `interface` a port of `bridge`, leaving the bridge it is on, and sets it up. Repeating it does no harm.
 * `guest`: the bridge is told at once that this MAC is behind the interface. Otherwise what it learned while the VM
 * ran on another host would lead frames for the VM back to the uplink until the VM itself sends.
 */
Result<void> move_to_bridge(const std::string& interface, const std::string& bridge,
                            std::optional<MacAddress> guest = std::nullopt);

/** Name of the bridge that `interface` is a port of; empty when of none. */
Result<std::string> bridge_of(const std::string& interface);

} // namespace tripod::net
