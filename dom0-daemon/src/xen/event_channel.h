// SPDX-License-Identifier: Apache-2.0
//
// The event channel between Xen's tripod code and the daemon, for one domain. Both directions go through it.
//
// One thread. A kick is a level, not a count: several may arrive as one.
#pragma once

#include <memory>

#include "xen/types.h"

namespace tripod::xen {

class EventChannel {
  public:
    virtual ~EventChannel() = default;
    // Readable when Xen has kicked us; then call acknowledge() before sleeping again. A kick that comes in between
    // is kept: the descriptor is readable at once.
    virtual int fd() const = 0;
    virtual void acknowledge() = 0;
    virtual void kick() = 0;
};

// Binds to `port` as enable() returned it for `domain`.
Result<std::unique_ptr<EventChannel>> bind_event_channel(DomId domain, uint32_t port);

} // namespace tripod::xen
