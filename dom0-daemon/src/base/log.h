// SPDX-License-Identifier: Apache-2.0
//
// The daemon's log: one line on stderr, with the priority prefix ("<4>") that systemd's journal understands when
// stderr goes there, and time and level for people when it does not. Thread-safe; a line is written with one
// write(2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace tripod::log {

enum class Level : int { error = 3, warning = 4, info = 6, debug = 7 }; // syslog's numbers

// Lines less important than `level` are dropped. Default: info.
void set_level(Level level);
bool enabled(Level level);
std::optional<Level> level_from_name(std::string_view name);

// Newlines within `line` become spaces, so that no input can forge a line.
void write(Level level, std::string_view line);

template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug))
        write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace tripod::log
