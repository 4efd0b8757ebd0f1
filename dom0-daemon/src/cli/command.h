// SPDX-License-Identifier: Apache-2.0
//
// The command `tripod`, also installed as `xl-tripod` for `xl tripod …`.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tripod::cli {

struct Streams {
    std::function<void(std::string_view)> out, err;
};

// What main() does: reads the arguments (argv[0] included), does one subcommand, returns the exit code
// (docs/commands.md). `default_socket` is where the daemon is looked for unless --socket says otherwise.
int run(int argc, const char* const* argv, const std::string& default_socket, const Streams& streams);

} // namespace tripod::cli
