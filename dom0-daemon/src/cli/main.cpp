// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>

#include "cli/command.h"

namespace {

// Whoever reads our output may have gone (`tripod trace web1 | head`): then there is no more to do.
void print(std::FILE* to, std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), to) != text.size() || std::fflush(to))
        std::exit(1);
}

} // namespace

int main(int argc, char** argv) {
    const char* socket = std::getenv("TRIPOD_SOCKET");
    return tripod::cli::run(
        argc, argv, socket && *socket ? socket : "/run/tripod/tripodd.sock",
        {[](std::string_view text) { print(stdout, text); }, [](std::string_view text) { print(stderr, text); }});
}
