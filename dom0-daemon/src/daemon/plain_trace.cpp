// SPDX-License-Identifier: Apache-2.0
#include "daemon/plain_trace.h"

#include <atomic>

#include <poll.h>

#include "guest_profile.h"
#include "vm/replica_vm.h"
#include "xen/record_ring.h"

namespace tripod::daemon {

namespace {

constexpr int wait_ms = 150;
constexpr size_t piece_bytes = 256 * 1024;

} // namespace

Result<void> trace_unprotected(vm::Context& context, const std::string& vm, TraceSink& sink) {
    if (auto fit = context.fit(); !fit && !context.xen_interface_version)
        return fit;
    auto toolstack = context.open_toolstack();
    if (!toolstack)
        return tl::unexpected(toolstack.error());
    const auto domid = (*toolstack)->find(vm);
    if (!domid)
        return fail(ErrorCode::no_such_vm, "no VM named " + vm + " on " + context.config.host, "see \"xl list\"");
    if (*domid == DomId{})
        return fail(ErrorCode::unsupported_guest, "Domain-0 cannot be traced");
    const auto config = (*toolstack)->config(*domid);
    if (!config)
        return tl::unexpected(vm::as_error(config.error()));
    if (!config->pv)
        return fail(ErrorCode::unsupported_guest, config->name + " is not a PV guest");
    if (config->kernel.empty())
        return fail(ErrorCode::unsupported_guest,
                    "the configuration of " + config->name + " names no kernel, so there is no profile");
    const auto profile = profile_from_image(config->kernel);
    if (!profile)
        return fail(ErrorCode::unsupported_guest, profile.error().message);
    auto xen = vm::XenSide::enable(context, *domid, *profile, context.config.ring_pages);
    if (!xen)
        return tl::unexpected(xen.error());
    // However it ends: the guest runs on.
    const struct End {
        vm::XenSide& xen;
        ~End() { [[maybe_unused]] const auto ignored = xen.disable(); }
    } end{**xen};
    const auto status = (*xen)->status();
    if (!status)
        return tl::unexpected(status.error());

    tripod_control& control = *(*xen)->memory().control;
    xen::RecordRing ring(control, (*xen)->memory().record);
    if (auto paused = (*toolstack)->pause(*domid); !paused)
        return tl::unexpected(vm::as_error(paused.error()));
    auto set = (*xen)->set_mode(TRIPOD_MODE_trace, 0);
    if (auto runs = (*toolstack)->unpause(*domid); !runs)
        return tl::unexpected(vm::as_error(runs.error()));
    if (!set)
        return set;
    sink.begin({config->name, *domid, vm::realtime_offset_ns(status->now_ns)});

    std::vector<std::byte> piece;
    while (!sink.cancelled()) {
        (*xen)->channel().acknowledge();
        piece.clear();
        xen::RecordRing::Next next{};
        while (piece.size() < piece_bytes && (next = ring.next()).status == xen::RecordRing::Status::record)
            piece.insert(piece.end(), next.record.begin(), next.record.end());
        if (next.status == xen::RecordRing::Status::corrupt)
            return fail(ErrorCode::other, "the record ring of " + config->name + " is corrupt");
        ring.release();
        if (std::atomic_ref(control.waits).load(std::memory_order_acquire) & TRIPOD_WAIT_space)
            (*xen)->channel().kick();
        if (!piece.empty()) {
            if (!sink.records(piece))
                return {};
            continue;
        }
        // Asleep until a record comes, or it is time to look whether somebody still listens.
        std::atomic_ref(control.notify_seq)
            .store(std::atomic_ref(control.record_seq).load(std::memory_order_acquire) + 1,
                   std::memory_order_seq_cst);
        if (ring.pending())
            continue;
        pollfd ready{(*xen)->channel().fd(), POLLIN, 0};
        if (poll(&ready, 1, wait_ms) == 0 && !(*toolstack)->exists(*domid))
            return {};
    }
    return {};
}

} // namespace tripod::daemon
