// SPDX-License-Identifier: Apache-2.0
#include "sim/random.h"

#include <cmath>

namespace rdma_paxos::sim {

Nanoseconds Random::any_scale(Nanoseconds low, Nanoseconds high) {
    const double from = std::log(double(low.count()));
    const double to = std::log(double(high.count()));
    return Nanoseconds(static_cast<std::int64_t>(std::exp(from + (to - from) * unit())));
}

} // namespace rdma_paxos::sim
