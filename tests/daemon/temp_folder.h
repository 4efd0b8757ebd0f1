// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tripod::testing {

// A fresh folder under $TMPDIR or /tmp, removed with all that is in it.
struct TempFolder {
    TempFolder() {
        const char* base = std::getenv("TMPDIR");
        std::string name = std::string(base && *base ? base : "/tmp") + "/tripod-test-XXXXXX";
        path = mkdtemp(name.data()) ? name : "";
    }
    ~TempFolder() {
        std::error_code ignored;
        if (!path.empty())
            std::filesystem::remove_all(path, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    std::string path;
};

} // namespace tripod::testing
