// SPDX-License-Identifier: Apache-2.0
//
// Asks the server, at the end of a run, for everything that was written.
#pragma once

#include "redis_connection.h"
#include "verdict.h"

#include <optional>
#include <string>
#include <vector>

namespace drill {

// The values of `keys`. Reconnects when it must; nothing if the server could not be asked within `patience`.
std::optional<Contents> read_back(const Endpoint& endpoint, const std::vector<std::string>& keys,
                                  std::chrono::milliseconds patience);

} // namespace drill
