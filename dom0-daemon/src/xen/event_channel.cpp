// SPDX-License-Identifier: Apache-2.0
#include "xen/event_channel.h"

#include <fcntl.h>

// C headers that do not say so.
extern "C" {
#include <xenctrl.h>
#include <xenevtchn.h>
}

namespace tripod::xen {

namespace {

class XenEventChannel final : public EventChannel {
  public:
    XenEventChannel(xenevtchn_handle* handle, evtchn_port_t port) : handle_(handle), port_(port) {}
    ~XenEventChannel() override { xenevtchn_close(handle_); }
    XenEventChannel(const XenEventChannel&) = delete;
    XenEventChannel& operator=(const XenEventChannel&) = delete;

    int fd() const override { return xenevtchn_fd(handle_); }

    void acknowledge() override {
        const auto port = xenevtchn_pending(handle_);
        if (port >= 0)
            xenevtchn_unmask(handle_, static_cast<evtchn_port_t>(port));
    }

    // Fails only when the domain is gone, which its owner finds out by other means.
    void kick() override { xenevtchn_notify(handle_, port_); }

  private:
    xenevtchn_handle* handle_;
    evtchn_port_t port_;
};

} // namespace

Result<std::unique_ptr<EventChannel>> bind_event_channel(DomId domain, uint32_t port) {
    auto* handle = xenevtchn_open(nullptr, 0);
    if (handle == nullptr)
        return tl::unexpected(errno_error("open Xen's event channel device"));
    const auto local = xenevtchn_bind_interdomain(handle, number(domain), port);
    if (local < 0) {
        auto error = errno_error("bind the event channel of domain " + std::to_string(number(domain)));
        xenevtchn_close(handle);
        return tl::unexpected(std::move(error));
    }
    // A wake-up may be spurious, and then reading would block.
    const int flags = fcntl(xenevtchn_fd(handle), F_GETFL);
    fcntl(xenevtchn_fd(handle), F_SETFL, flags | O_NONBLOCK);
    return std::make_unique<XenEventChannel>(handle, static_cast<evtchn_port_t>(local));
}

} // namespace tripod::xen
