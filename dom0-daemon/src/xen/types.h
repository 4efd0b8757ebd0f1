// SPDX-License-Identifier: Apache-2.0
//
// How calls to Xen and its toolstack fail.
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "base/ids.h"

namespace tripod::xen {

// What was tried, on what, and how it failed. `errno_value` is 0 where the failure has no errno.
struct Error {
    int errno_value = 0;
    std::string what;
};

template <typename T>
using Result = tl::expected<T, Error>;

// "WHAT: strerror(errno)", with errno as it is now.
Error errno_error(std::string what);

} // namespace tripod::xen
