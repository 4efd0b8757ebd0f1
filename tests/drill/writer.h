// SPDX-License-Identifier: Apache-2.0
//
// One connection of the load: writes as fast as the server answers, reconnects by itself, and keeps the ledger.
#pragma once

#include "ledger.h"
#include "redis_connection.h"

#include <atomic>
#include <string>

namespace drill {

// What all writers tell the thread that shows progress.
struct Progress {
    std::atomic<std::int64_t> acknowledged{0};
    std::atomic<std::int64_t> unknown{0};
    std::atomic<Nanoseconds> last_answer{0};
};

struct WriterPlan {
    std::string run;    // part of every key, so that runs against one server do not meet
    int connection = 0; // number of this writer
};

// Every fourth write is an INCR: of the writer's own counters in turn, and of one that all writers share.
inline constexpr int own_counters = 2;
std::string own_counter_key(const WriterPlan& plan, int counter);
std::string shared_counter_key(const std::string& run);

Nanoseconds now_realtime();

// Runs until `stop`. Each request waits for its answer before the next is sent, at most for the reply time-out.
Ledger write_until(const std::atomic<bool>& stop, const Endpoint& endpoint, const WriterPlan& plan,
                   Progress& progress);

} // namespace drill
