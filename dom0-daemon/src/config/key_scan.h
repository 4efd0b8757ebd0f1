// SPDX-License-Identifier: Apache-2.0
//
// libxlutil reads a configuration file but cannot say which keys it has, so misspelt keys would pass unnoticed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tripod {

struct ConfigKey {
    std::string name;
    int line = 0; // from 1
};

// The keys that `text` assigns to, in order. `text` is one that libxlutil has accepted: anything else may give
// nonsense, but no harm.
std::vector<ConfigKey> scan_keys(std::string_view text);

} // namespace tripod
