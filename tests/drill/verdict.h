// SPDX-License-Identifier: Apache-2.0
//
// Compares what the server holds at the end with what the ledgers say it must, may and must not hold.
#pragma once

#include "ledger.h"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace drill {

struct Verdict {
    std::int64_t lost = 0;  // acknowledged writes that are not there
    std::int64_t wrong = 0; // keys with a value that nobody wrote there; counters that told an impossible number
    std::int64_t duplicated = 0;       // increments beyond all that were ever asked for
    std::vector<std::string> examples; // a few of them, in words

    [[nodiscard]] bool clean() const { return lost == 0 && wrong == 0 && duplicated == 0; }
};

// key -> value, without an entry for a key that does not exist
using Contents = std::map<std::string, std::string>;

// Every key that the ledgers mention, once.
std::vector<std::string> keys_of(std::span<const Ledger> ledgers);

Verdict judge(std::span<const Ledger> ledgers, const Contents& contents);

} // namespace drill
