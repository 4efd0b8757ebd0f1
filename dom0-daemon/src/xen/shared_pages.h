// SPDX-License-Identifier: Apache-2.0
//
// The pages that Xen and dom0 share for one protected domain, mapped into this process.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <public/tripod.h>

#include "xen/types.h"

namespace tripod::xen {

// Plain memory; in tests any memory of that shape.
struct SharedMemory {
    tripod_control* control = nullptr;
    std::span<std::byte> record; // written by Xen
    std::span<std::byte> replay; // written by us
};

// Owns the mappings; memory() is valid until it is destroyed, even when the domain is gone.
class SharedPages {
  public:
    virtual ~SharedPages() = default;
    virtual const SharedMemory& memory() const = 0;
};

// Maps the pages of `domain`, which must have been enabled. EPROTO when they are not laid out as we expect.
Result<std::unique_ptr<SharedPages>> map_shared_pages(DomId domain, uint32_t ring_pages);

} // namespace tripod::xen
