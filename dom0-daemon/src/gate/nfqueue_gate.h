// SPDX-License-Identifier: Apache-2.0
//
// The gate by the kernel's own packet queue (nfnetlink_queue): a rule at the bridges' prerouting hook
// (exit_rules.h) puts every frame of the VM's interfaces there, before anybody else sees it. The kernel keeps the
// frame; only its number comes up here, and one verdict lets all go up to a number. Without a listener the kernel
// drops.
//
// The frame's bytes stay where netback found them: in pages that the guest has lent. So what a gate holds fills the
// interface's own ring, and the guest waits for room as with any busy card; only frames of up to 128 bytes, which
// netback copies, are held in dom0's memory, about 1 KiB each.
#pragma once

#include <memory>

#include "base/error.h"
#include "gate/gate.h"

namespace tripod::gate {

// Frames that the kernel keeps in a queue at most. Long before that, the guest's outputs wait (PrimaryPump); what
// the guest's kernel sends by itself beyond that many, such as answers to a flood of pings, is dropped.
inline constexpr uint32_t queue_frames_max = 65536;

// Listens to the queue of that number. Fails when somebody else does, or this kernel has no nfnetlink_queue.
Result<std::unique_ptr<Gate>> open_nfqueue_gate(uint16_t queue);

} // namespace tripod::gate
