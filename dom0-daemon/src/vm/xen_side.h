// SPDX-License-Identifier: Apache-2.0
//
// One domain as Xen's tripod code sees it: enabled, its shared pages mapped, its event channel bound.
#pragma once

#include <memory>

#include "vm/context.h"
#include "xen/event_channel.h"
#include "xen/shared_pages.h"

namespace tripod::vm {

class XenSide {
  public:
    // Enables the domain and tells Xen the guest kernel's profile. The mode stays off. A failure leaves it
    // disabled.
    static Result<std::unique_ptr<XenSide>> enable(const Context& context, DomId domain,
                                                   const tripod_profile& profile, uint32_t ring_pages);
    // Unmaps the memory, and leaves the domain as it is: whoever lets a guest go says so, by disable().
    ~XenSide() = default;
    XenSide(const XenSide&) = delete;
    XenSide& operator=(const XenSide&) = delete;

    DomId domain() const { return domain_; }
    const xen::SharedMemory& memory() const { return pages_->memory(); }
    xen::EventChannel& channel() { return *channel_; }

    // Not thread-safe with each other: before the group's thread runs, on it, or after it.
    Result<void> set_mode(tripod_mode mode, uint64_t next_seq);
    Result<xen::Domctl::Status> status();
    // The guest runs on as if nothing had been. The memory stays mapped. Repeating it does no harm.
    Result<void> disable();

  private:
    Result<void> set_up(const tripod_profile& profile, uint32_t ring_pages, uint32_t port);
    XenSide(DomId domain, std::unique_ptr<xen::Domctl> domctl) : domain_(domain), domctl_(std::move(domctl)) {}

    DomId domain_;
    std::unique_ptr<xen::Domctl> domctl_;
    std::unique_ptr<xen::SharedPages> pages_;
    std::unique_ptr<xen::EventChannel> channel_;
};

} // namespace tripod::vm
