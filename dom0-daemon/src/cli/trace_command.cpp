// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_command.h"

#include <algorithm>

#include <fmt/core.h>

#include "control/client.h"
#include "record/format.h"
#include "record/record_view.h"

namespace tripod::cli {

void describe_trace_options(CLI::App& trace, TraceOptions& options) {
    trace.add_option("-f,--fd", options.fd, "Calls on this file descriptor only")
        ->check(CLI::Range(0, INT32_MAX).description(""))
        ->type_name("N");
    trace.add_flag("--net", options.net, "Calls on network sockets only");
    trace.add_flag("--json", options.json, "One JSON object a line, with all bytes");
    trace.add_option("-n,--count", options.count, "End after so many calls")
        ->check(CLI::Range(1, INT32_MAX).description(""))
        ->type_name("N");
    trace.add_option("-s,--string-size", options.string_max, "Bytes of a buffer to show")
        ->capture_default_str()
        ->check(CLI::Range(0, 1 << 20).description(""))
        ->type_name("N");
    trace.add_flag("-t", options.timestamps, "Time of day; -tt with microseconds, -ttt as seconds since 1970");
}

Result<void> run_trace(const std::string& socket, const std::string& vm, const TraceOptions& options,
                       const Streams& streams) {
    record::FormatOptions format;
    format.string_max = options.string_max;
    format.timestamps = static_cast<record::Timestamps>(std::clamp(options.timestamps, 0, 3));

    std::optional<Error> broken;
    control::Handlers handlers;
    handlers.trace_start = [&](const TraceStart& start) { format.realtime_offset_ns = start.realtime_offset_ns; };
    handlers.trace_lost = [&](std::uint64_t count) {
        streams.err(fmt::format("trace: {} calls are missing here: output was too slow\n", count));
    };
    handlers.records = [&](std::span<const std::byte> bytes) {
        record::RecordReader reader(bytes);
        std::string text;
        while (!broken) {
            const auto next = reader.next();
            if (!next)
                broken = Error{ErrorCode::protocol, "the daemon sent a broken record: " + next.error().message, ""};
            if (!next || !*next)
                break;
            text +=
                options.json ? record::format_record_json(**next, format) : record::format_record(**next, format);
            text += '\n';
        }
        streams.out(text);
    };
    const auto result = control::call(
        socket, control::TraceRequest{vm, {.fd = options.fd, .net = options.net, .count = options.count}},
        handlers);
    if (broken)
        return tl::unexpected<Error>(*broken);
    if (!result)
        return tl::unexpected<Error>(result.error());
    return {};
}

} // namespace tripod::cli
