// SPDX-License-Identifier: Apache-2.0
#include "vm/xen_side.h"

#include <cerrno>

namespace tripod::vm {

Result<std::unique_ptr<XenSide>> XenSide::enable(const Context& context, DomId domain,
                                                 const tripod_profile& profile, uint32_t ring_pages) {
    auto domctl = context.open_domctl();
    if (!domctl)
        return tl::unexpected(domctl.error());
    std::unique_ptr<XenSide> side(new XenSide(domain, std::move(*domctl)));
    const auto port = side->domctl_->enable(domain, ring_pages);
    if (!port) {
        const int code = port.error().errno_value;
        if (code == EEXIST)
            return fail(ErrorCode::already_protected, "the VM is already recorded, traced or replayed",
                        "see \"tripod list\"; after a crash of the daemon, restart the VM");
        if (code == EOPNOTSUPP || code == EINVAL)
            return fail(ErrorCode::unsupported_guest, port.error().what);
        return tl::unexpected(as_error(port.error()));
    }
    if (auto set_up = side->set_up(profile, ring_pages, *port); !set_up) {
        [[maybe_unused]] const auto ignored = side->disable();
        return tl::unexpected(set_up.error());
    }
    return side;
}

Result<void> XenSide::set_up(const tripod_profile& profile, uint32_t ring_pages, uint32_t port) {
    if (auto set = domctl_->set_profile(domain_, profile); !set)
        return tl::unexpected(as_error(set.error(), ErrorCode::unsupported_guest));
    auto pages = xen::map_shared_pages(domain_, ring_pages);
    if (!pages)
        return tl::unexpected(as_error(pages.error()));
    pages_ = std::move(*pages);
    auto channel = xen::bind_event_channel(domain_, port);
    if (!channel)
        return tl::unexpected(as_error(channel.error()));
    channel_ = std::move(*channel);
    return {};
}

Result<void> XenSide::set_mode(tripod_mode mode, uint64_t next_seq) {
    if (auto done = domctl_->set_mode(domain_, mode, next_seq); !done)
        return tl::unexpected(as_error(done.error()));
    return {};
}

Result<xen::Domctl::Status> XenSide::status() {
    auto status = domctl_->status(domain_);
    if (!status)
        return tl::unexpected(as_error(status.error()));
    return *status;
}

Result<void> XenSide::disable() {
    if (auto done = domctl_->disable(domain_); !done)
        return tl::unexpected(as_error(done.error()));
    return {};
}

} // namespace tripod::vm
