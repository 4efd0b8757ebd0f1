// SPDX-License-Identifier: Apache-2.0
//
// Figures of a run: when answers came, how fast, and the longest time without one.
#pragma once

#include "ledger.h"

#include <span>

namespace drill {

struct Gap {
    Nanoseconds start = 0; // last answer before it (or the start of the run)
    Nanoseconds end = 0;   // first answer after it (or the end of the run)
    bool ended = false;    // an answer came after it
};

struct Latencies {
    Nanoseconds p50 = 0, p99 = 0, p99_9 = 0;
    std::int64_t count = 0;
};

struct Statistics {
    std::int64_t acknowledged = 0, unknown = 0, refused = 0;
    Gap longest_gap;
    Latencies before_gap, after_gap;
    double per_second_before_gap = 0, per_second_after_gap = 0; // acknowledged writes
};

// start and end: of the run, CLOCK_REALTIME.
Statistics summarize(std::span<const Ledger> ledgers, Nanoseconds start, Nanoseconds end);

} // namespace drill
