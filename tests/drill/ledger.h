// SPDX-License-Identifier: Apache-2.0
//
// What one connection of the load has asked of the server, and what it was told. The verdict is reached from this
// alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace drill {

using Nanoseconds = std::int64_t; // CLOCK_REALTIME where a point in time is meant

enum class Kind : std::uint8_t {
    set,  // a key that is written once in the whole run, with a value that is used once
    incr, // a counter
};

enum class Outcome : std::uint8_t {
    acknowledged, // the server said that it was done
    unknown,      // no answer came: it may or may not have happened
    refused,      // the server answered with an error: it must not have happened
};

struct Write {
    Kind kind{};
    Outcome outcome{};
    std::string key;
    std::string value;        // what a set wrote
    std::int64_t counted = 0; // what an acknowledged incr was told the counter is now
    Nanoseconds sent = 0;
    Nanoseconds answered = 0; // acknowledged only
    Nanoseconds latency = 0;  // acknowledged only; measured on a clock that is never set
};

// How connections ended, other than by us.
struct Disconnections {
    std::int64_t resets = 0;           // ECONNRESET or EPIPE
    std::int64_t closed = 0;           // an orderly end
    std::int64_t timeouts = 0;         // no answer within the reply time-out; we hung up
    std::int64_t connect_failures = 0; // attempts that found no server

    [[nodiscard]] std::int64_t reconnects() const { return resets + closed + timeouts; }
    Disconnections& operator+=(const Disconnections& other) {
        resets += other.resets;
        closed += other.closed;
        timeouts += other.timeouts;
        connect_failures += other.connect_failures;
        return *this;
    }
};

struct Ledger {
    std::vector<Write> writes; // in the order in which they were sent
    Disconnections disconnections;
};

} // namespace drill
