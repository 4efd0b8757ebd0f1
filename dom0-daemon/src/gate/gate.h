// SPDX-License-Identifier: Apache-2.0
//
// The one exit of a protected VM. Every frame that the VM's network interfaces emit is held here, in dom0, whatever
// it is, until somebody says that it may leave. Nothing passes by default: a gate whose owner has died lets nothing
// out.
//
// A gate numbers the frames as it sees them, from 1. It knows nothing of records, logs or leases: FrameMarks and
// PrimaryPump decide. Frames always leave in order.
//
// A gate is attached by making one (see nfqueue_gate.h), before anything is recorded. To shut it is to release
// nothing. Its destructor throws away what it holds and leaves the exit shut; exit_rules.h takes the exit's rule
// away.
#pragma once

#include <chrono>
#include <cstdint>

namespace tripod::gate {

using Nanoseconds = std::chrono::nanoseconds;

// Of the monotonic clock: no end.
inline constexpr Nanoseconds no_deadline = Nanoseconds::max();

// One thread.
class Gate {
  public:
    virtual ~Gate() = default;

    // Readable when frames have arrived.
    virtual int fd() const = 0;

    // Takes note of the frames that have arrived. Returns the number of the newest one seen so far; 0: none.
    virtual uint64_t collect() = 0;

    // Lets every frame up to that number leave, unless `deadline` (monotonic clock) has come. False: nothing was
    // released. Looks at the clock as late as it can.
    virtual bool release(uint64_t frame, Nanoseconds deadline) = 0;

    // Throws away what is held, and all that comes. For good. Held frames bind the memory of their domain, so this
    // must come before its end.
    virtual void discard() = 0;
};

} // namespace tripod::gate
