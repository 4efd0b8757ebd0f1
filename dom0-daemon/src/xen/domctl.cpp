// SPDX-License-Identifier: Apache-2.0
//
// Built with -D__XEN_TOOLS__: struct xen_domctl is for the toolstack alone.
#include "xen/domctl.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

// C headers that do not say so.
extern "C" {
#include <xencall.h>
#include <xenctrl.h>
}

namespace tripod::xen {

namespace {

static_assert(sizeof(xen_domctl_tripod) <= sizeof(xen_domctl::u), "our payload must fit Xen's domctl");

class XenDomctl final : public Domctl {
  public:
    XenDomctl(xencall_handle* call, xen_domctl* buffer) : call_(call), buffer_(buffer) {}
    ~XenDomctl() override {
        xencall_free_buffer(call_, buffer_);
        xencall_close(call_);
    }
    XenDomctl(const XenDomctl&) = delete;
    XenDomctl& operator=(const XenDomctl&) = delete;

    Result<uint32_t> version() override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_version;
        if (auto done = issue(DomId{0}, payload, "version"); !done)
            return tl::unexpected(done.error());
        return payload.interface_version;
    }

    Result<uint32_t> enable(DomId domain, uint32_t ring_pages) override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_enable;
        payload.u.enable.ring_pages = ring_pages;
        if (auto done = issue(domain, payload, "enable"); !done)
            return tl::unexpected(done.error());
        return payload.u.enable.evtchn_port;
    }

    Result<void> disable(DomId domain) override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_disable;
        return issue(domain, payload, "disable");
    }

    Result<void> set_profile(DomId domain, const tripod_profile& profile) override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_profile;
        payload.u.profile = profile;
        return issue(domain, payload, "profile");
    }

    Result<void> set_mode(DomId domain, tripod_mode mode, uint64_t next_seq) override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_mode;
        payload.u.mode.mode = mode;
        payload.u.mode.next_seq = next_seq;
        return issue(domain, payload, "mode");
    }

    Result<Status> status(DomId domain) override {
        xen_domctl_tripod payload{};
        payload.op = TRIPOD_OP_status;
        if (auto done = issue(domain, payload, "status"); !done)
            return tl::unexpected(done.error());
        const auto& s = payload.u.status;
        return Status{static_cast<tripod_mode>(s.mode), s.waiting, s.now_ns, s.calls, s.divergence,
                      static_cast<tripod_life>(s.life)};
    }

  private:
    Result<void> issue(DomId domain, xen_domctl_tripod& payload, const char* name) {
        payload.interface_version = TRIPOD_INTERFACE_VERSION;
        std::memset(buffer_, 0, sizeof *buffer_);
        buffer_->cmd = XEN_DOMCTL_tripod;
        buffer_->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        buffer_->domain = static_cast<domid_t>(number(domain));
        std::memcpy(buffer_->u.pad, &payload, sizeof payload);
        if (xencall1(call_, __HYPERVISOR_domctl, reinterpret_cast<uintptr_t>(buffer_)) != 0)
            return tl::unexpected(errno_error(std::string("Xen's tripod domctl \"") + name + "\" on domain " +
                                              std::to_string(number(domain))));
        std::memcpy(&payload, buffer_->u.pad, sizeof payload);
        return {};
    }

    xencall_handle* call_;
    xen_domctl* buffer_;
};

} // namespace

Result<std::unique_ptr<Domctl>> open_domctl() {
    xencall_handle* call = xencall_open(nullptr, 0);
    if (call == nullptr)
        return tl::unexpected(errno_error("open Xen's hypercall device"));
    auto* buffer = static_cast<xen_domctl*>(xencall_alloc_buffer(call, sizeof(xen_domctl)));
    if (buffer == nullptr) {
        auto error = errno_error("allocate a hypercall buffer");
        xencall_close(call);
        return tl::unexpected(std::move(error));
    }
    return std::make_unique<XenDomctl>(call, buffer);
}

} // namespace tripod::xen
