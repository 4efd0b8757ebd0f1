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
    side->enabled_ = true;
    if (auto set = side->domctl_->set_profile(domain, profile); !set)
        return tl::unexpected(as_error(set.error(), ErrorCode::unsupported_guest));
    auto pages = xen::map_shared_pages(domain, ring_pages);
    if (!pages)
        return tl::unexpected(as_error(pages.error()));
    side->pages_ = std::move(*pages);
    auto channel = xen::bind_event_channel(domain, *port);
    if (!channel)
        return tl::unexpected(as_error(channel.error()));
    side->channel_ = std::move(*channel);
    return side;
}

XenSide::~XenSide() {
    // The mappings go first: Xen keeps the pages as long as someone maps them.
    channel_.reset();
    pages_.reset();
    [[maybe_unused]] const auto ignored = disable();
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
    if (!enabled_)
        return {};
    enabled_ = false;
    if (auto done = domctl_->disable(domain_); !done)
        return tl::unexpected(as_error(done.error()));
    return {};
}

} // namespace tripod::vm
