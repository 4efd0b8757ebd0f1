// SPDX-License-Identifier: Apache-2.0
#include "replicate/xen_clock.h"

namespace tripod::replicate {

void XenClock::sample(Nanoseconds before, uint64_t xen_ns, Nanoseconds after) {
    // A sampling that was interrupted for long says little; keep the old one unless there is none.
    constexpr Nanoseconds sampling_max = std::chrono::milliseconds(5);
    if (valid_ && after - before > sampling_max)
        return;
    valid_ = true;
    at_ = after;
    xen_ns_ = xen_ns;
}

uint64_t XenClock::not_after(Nanoseconds moment) const {
    if (!valid_)
        return 0;
    const int64_t distance = (moment - at_).count();
    const int64_t drift = (distance < 0 ? -distance : distance) / 1'000'000 * drift_ppm_ + 1;
    const int64_t translated = static_cast<int64_t>(xen_ns_) + distance - drift;
    return translated > 0 ? static_cast<uint64_t>(translated) : 0;
}

} // namespace tripod::replicate
