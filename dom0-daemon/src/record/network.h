// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "public/tripod.h"

namespace tripod::record {

// True for a call on a network socket, or one that makes one (accept, socket): what `tripod trace --net` shows.
// Waits (epoll_wait) and values (clocks, randomness) are not: they are on no network descriptor.
inline bool on_network_socket(const tripod_record& r) {
    if (r.type == TRIPOD_REC_socket)
        return true;
    switch (r.call_class) {
    case TRIPOD_CLASS_input:
    case TRIPOD_CLASS_accept:
    case TRIPOD_CLASS_socket:
    case TRIPOD_CLASS_output:
    case TRIPOD_CLASS_mirror: // Xen mirrors close() and the like for network sockets alone
        return true;
    default:
        return false;
    }
}

} // namespace tripod::record
