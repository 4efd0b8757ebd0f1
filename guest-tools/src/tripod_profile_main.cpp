// SPDX-License-Identifier: Apache-2.0
//
// tripod-profile IMAGE [--json]: prints where the kernel in IMAGE keeps what the hypervisor looks at.
#include "guest_profile.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace {

int run(int argc, char** argv) {
    CLI::App app{"Print the offsets that Tripod needs from a guest's kernel image (bzImage or vmlinux)."};
    std::string image;
    bool json = false;
    app.add_option("IMAGE", image, "the guest's vmlinuz or vmlinux")->required();
    app.add_flag("--json", json, "print JSON");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 1;
    }

    const auto profile = tripod::profile_from_image(image);
    if (!profile) {
        fmt::print(stderr, "tripod-profile: {}\n", profile.error().message);
        return 1;
    }
    if (json) {
        nlohmann::ordered_json out{{"schema", 1}, {"image", image}};
        for (const auto& [name, offset] : tripod::profile_fields(*profile))
            out["offsets"][std::string(name)] = offset;
        fmt::print("{}\n", out.dump(2));
    } else {
        fmt::print("{:<20} {:>8}\n", "Field", "Offset");
        for (const auto& [name, offset] : tripod::profile_fields(*profile))
            fmt::print("{:<20} {:>#8x}\n", name, offset);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    // The libraries for the command line and for JSON throw; so does printing into a full disk.
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fputs("tripod-profile: ", stderr);
        std::fputs(error.what(), stderr);
        std::fputc('\n', stderr);
        return 1;
    }
}
