// SPDX-License-Identifier: Apache-2.0
//
// The rule that sends every frame of a domain's interfaces to its gate: table "tripod" of the bridge family in
// nftables, one rule a domain, for the interfaces vifD.* that it has and those that it will get. While the rule
// stands and nobody listens to the queue, the kernel drops the frames.
//
// The rule outlives the daemon. Deleting a whole chain would make the kernel drop what every queue of this host
// holds, so the chain stays, and rules come and go.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace tripod::gate {

// The packet queue of a domain's gate. Upper half: far from what admins use.
inline constexpr uint16_t queue_of(DomId domain) {
    return static_cast<uint16_t>(0x8000 | (number(domain) & 0x7fff));
}

// Shuts the exit. Repeating it does no harm, and opens no gap. Each call takes some milliseconds.
Result<void> shut_exit(DomId domain);
// Takes the rule away: frames pass by themselves. No such rule: fine.
Result<void> free_exit(DomId domain);
// Domains that have a rule.
Result<std::vector<DomId>> shut_exits();

} // namespace tripod::gate
