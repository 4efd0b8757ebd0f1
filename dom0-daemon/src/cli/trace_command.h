// SPDX-License-Identifier: Apache-2.0
//
// `tripod trace`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/command.h"

namespace tripod::cli {

struct TraceOptions {
    std::optional<std::int32_t> fd;
    bool net = false, json = false;
    std::uint64_t count = 0;
    std::size_t string_max = 32;
    int timestamps = 0; // how often -t was given
};

void describe_trace_options(CLI::App& trace, TraceOptions& options);

// Prints until the daemon ends the trace, the count is reached or output fails.
Result<void> run_trace(const std::string& socket, const std::string& vm, const TraceOptions& options,
                       const Streams& streams);

} // namespace tripod::cli
