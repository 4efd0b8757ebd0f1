// SPDX-License-Identifier: Apache-2.0
//
// Turns moments of this program's monotonic clock into moments of Xen's, so that they never come out too late.
//
// A lease granted until D must end in Xen at D or before, never after. Xen's time is sampled between two readings
// of our clock; the sample is taken to belong to the later one, which makes every translated moment early by at
// most the time that the sampling took. Samples age: the two clocks may drift apart (ppm) until the next one.
#pragma once

#include <chrono>
#include <cstdint>

namespace tripod::replicate {

using Nanoseconds = std::chrono::nanoseconds;

class XenClock {
  public:
    explicit XenClock(uint32_t drift_ppm = 1000) : drift_ppm_(drift_ppm) {}

    // Xen's clock read `xen_ns` at some moment in [before, after].
    void sample(Nanoseconds before, uint64_t xen_ns, Nanoseconds after);

    bool valid() const { return valid_; }
    Nanoseconds sampled_at() const { return at_; }

    // A Xen time at or before `moment`; 0 without a sample.
    uint64_t not_after(Nanoseconds moment) const;

  private:
    uint32_t drift_ppm_;
    bool valid_ = false;
    Nanoseconds at_{};
    uint64_t xen_ns_ = 0;
};

} // namespace tripod::replicate
