// SPDX-License-Identifier: Apache-2.0
//
// Whether a domain can still run, as Xen sees it. A state machine without a thread: its owner looks and passes the
// time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "xen/domctl.h"

namespace tripod::vm {

class DomainWatch {
  public:
    // Xen is asked no more often than this; a look is one short hypercall.
    static constexpr std::chrono::milliseconds interval{100};

    DomainWatch(std::unique_ptr<xen::Domctl> domctl, DomId domain) : domctl_(std::move(domctl)), domain_(domain) {}

    // Why the domain cannot run any more: it has shut down, is being destroyed, or is gone. Once it is said it
    // stays. None: it runs, as far as Xen could be asked.
    const std::optional<std::string>& look(std::chrono::nanoseconds now);
    // The same, without waiting for the interval.
    const std::optional<std::string>& look_now();

  private:
    std::unique_ptr<xen::Domctl> domctl_;
    DomId domain_;
    std::optional<std::chrono::nanoseconds> looked_at_;
    std::optional<std::string> end_;
};

} // namespace tripod::vm
