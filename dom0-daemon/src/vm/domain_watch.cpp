// SPDX-License-Identifier: Apache-2.0
#include "vm/domain_watch.h"

#include <cerrno>

namespace tripod::vm {

const std::optional<std::string>& DomainWatch::look(std::chrono::nanoseconds now) {
    if (looked_at_ && now - *looked_at_ < interval)
        return end_;
    looked_at_ = now;
    return look_now();
}

const std::optional<std::string>& DomainWatch::look_now() {
    if (end_)
        return end_;
    const auto status = domctl_->status(domain_);
    // A call that failed for another reason says nothing about the domain.
    if (!status && status.error().errno_value == ESRCH)
        end_ = "its domain is gone";
    else if (status && status->life == TRIPOD_LIFE_dying)
        end_ = "its domain is being destroyed";
    else if (status && status->life == TRIPOD_LIFE_shutdown)
        end_ = "its domain has shut down or crashed";
    return end_;
}

} // namespace tripod::vm
