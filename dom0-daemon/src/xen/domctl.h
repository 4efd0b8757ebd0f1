// SPDX-License-Identifier: Apache-2.0
//
// The domctl XEN_DOMCTL_tripod: sets up one domain for recording or replay. See public/tripod.h for each operation.
//
// Calls are short hypercalls and never wait for the guest. An object may be used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>

#include <public/tripod.h>

#include "xen/types.h"

namespace tripod::xen {

class Domctl {
  public:
    virtual ~Domctl() = default;

    struct Status {
        tripod_mode mode;
        uint32_t waiting; // threads
        uint64_t now_ns;  // Xen system time
        uint64_t calls;
        tripod_divergence divergence;
        tripod_life life = TRIPOD_LIFE_running;
    };

    // ENOSYS where Xen is not patched.
    virtual Result<uint32_t> version() = 0;
    // Returns the event channel's port in the remote domain. EEXIST when enabled already.
    virtual Result<uint32_t> enable(DomId domain, uint32_t ring_pages) = 0;
    virtual Result<void> disable(DomId domain) = 0;
    virtual Result<void> set_profile(DomId domain, const tripod_profile& profile) = 0;
    virtual Result<void> set_mode(DomId domain, tripod_mode mode, uint64_t next_seq) = 0;
    // Does not disturb the guest. ESRCH: there is no such domain.
    virtual Result<Status> status(DomId domain) = 0;
};

// Through libxencall. Fails where this kernel is not a dom0.
Result<std::unique_ptr<Domctl>> open_domctl();

} // namespace tripod::xen
