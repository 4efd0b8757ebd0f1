// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <atomic>
#include <cstdlib>
#include <ctime>

#include <unistd.h>

namespace tripod::log {

namespace {

std::atomic<Level> threshold{Level::info};

const char* name(Level level) {
    switch (level) {
    case Level::error:
        return "error";
    case Level::warning:
        return "warning";
    case Level::info:
        return "info";
    case Level::debug:
        return "debug";
    }
    return "?";
}

std::string prefix(Level level) {
    // systemd sets this for a service whose stderr is the journal, which keeps time and level itself.
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    if (journal)
        return fmt::format("<{}>", static_cast<int>(level));
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    return fmt::format("{:02}:{:02}:{:02}.{:03}Z {}: ", parts.tm_hour, parts.tm_min, parts.tm_sec,
                       now.tv_nsec / 1000000, name(level));
}

} // namespace

void set_level(Level level) {
    threshold = level;
}
bool enabled(Level level) {
    return static_cast<int>(level) <= static_cast<int>(threshold.load());
}

std::optional<Level> level_from_name(std::string_view text) {
    for (Level level : {Level::error, Level::warning, Level::info, Level::debug})
        if (text == name(level))
            return level;
    return std::nullopt;
}

void write(Level level, std::string_view line) {
    if (!enabled(level))
        return;
    std::string out = prefix(level);
    for (char c : line)
        out += c == '\n' ? ' ' : c;
    out += '\n';
    // A log that cannot be written has nowhere to say so.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, out.data(), out.size());
}

} // namespace tripod::log
