// SPDX-License-Identifier: Apache-2.0
#include "xen/types.h"

#include <cerrno>
#include <cstring>

namespace tripod::xen {

Error errno_error(std::string what) {
    const int code = errno;
    return Error{code, std::move(what) + ": " + std::strerror(code)};
}

} // namespace tripod::xen
