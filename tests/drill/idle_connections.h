// SPDX-License-Identifier: Apache-2.0
//
// Connections that are open while a failover happens and send nothing of their own accord. None may be left half
// alive: in the end each must have seen the connection's end, or still work.
#pragma once

#include "ledger.h"
#include "redis_connection.h"

#include <atomic>
#include <string>
#include <vector>

namespace drill {

enum class IdleKind : std::uint8_t {
    quiet,   // had its last answer, asks nothing
    waiting, // has sent a request that is not answered yet (BLPOP)
};

enum class IdleOutcome : std::uint8_t {
    reset,      // the other end reset it
    closed,     // the other end closed it
    works,      // answers correctly when used at the end
    half_alive, // neither ends nor answers
    wrong,      // answered, but something else
};

const char* name_of(IdleKind kind);
const char* name_of(IdleOutcome outcome);

struct IdleConnection {
    IdleKind kind{};
    IdleOutcome outcome{};
    bool by_itself = false; // its end was seen without our sending anything
    Nanoseconds ended = 0;  // when its end was seen (reset, closed)
};

// Opens `count` connections (every other one waiting) and makes each send one request. Fails if one cannot be
// opened or the server does not answer. Watches them until `stop`, then uses those that are still open, and gives
// each `patience`. `ready` becomes true once all are open.
tl::expected<std::vector<IdleConnection>, Broken> watch_idle(const std::atomic<bool>& stop,
                                                             std::atomic<bool>& ready, const Endpoint& endpoint,
                                                             const std::string& run, int count,
                                                             std::chrono::milliseconds patience);

} // namespace drill
