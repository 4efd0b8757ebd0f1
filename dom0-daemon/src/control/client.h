// SPDX-License-Identifier: Apache-2.0
//
// The command's side of the local socket.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "control/json.h"
#include "control/request.h"

namespace tripod::control {

// What may arrive before the answer. Members that are not set ignore it.
struct Handlers {
    std::function<void(std::string_view line)> progress;
    std::function<void(const TraceStart&)> trace_start;
    std::function<void(std::span<const std::byte> records)> records; // not checked
    std::function<void(std::uint64_t count)> trace_lost;
};

// Sends one request to the daemon at `socket_path` and waits for its end, for however long that takes.
// Returns the result's JSON, the daemon's error, or daemon_not_running, permission or protocol.
Result<Json> call(const std::string& socket_path, const Request& request, const Handlers& handlers = {});

} // namespace tripod::control
