// SPDX-License-Identifier: Apache-2.0
//
// Runs in dom0: intercepts a domain's calls for some seconds and throws the records away, so that the cost of
// interception itself can be measured without the daemon. interception DOMID KERNEL_IMAGE SECONDS
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "guest_profile.h"
#include "xen/domctl.h"
#include "xen/shared_pages.h"

namespace {

constexpr std::uint32_t ring_pages = 256;

template <class T>
T take(tripod::xen::Result<T> result, const char* what) {
    if (!result) {
        std::fprintf(stderr, "interception: %s: %s\n", what, result.error().what.c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>)
        return std::move(*result);
}

} // namespace

int main(int argc, char** argv) {
    using namespace tripod;
    std::uint32_t domid = 0;
    int seconds = 0;
    if (argc != 4 || std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), domid).ec != std::errc() ||
        std::from_chars(argv[3], argv[3] + std::strlen(argv[3]), seconds).ec != std::errc()) {
        std::fprintf(stderr, "usage: interception DOMID KERNEL_IMAGE SECONDS\n");
        return 1;
    }
    const auto profile = profile_from_image(argv[2]);
    if (!profile) {
        std::fprintf(stderr, "interception: %s\n", profile.error().message.c_str());
        return 1;
    }
    const auto domain = static_cast<DomId>(domid);
    const auto domctl = take(xen::open_domctl(), "domctl");
    take(domctl->enable(domain, ring_pages), "enable");
    const auto pages = take(xen::map_shared_pages(domain, ring_pages), "shared pages");
    take(domctl->set_profile(domain, *profile), "profile");
    take(domctl->set_mode(domain, TRIPOD_MODE_trace, 0), "mode");

    tripod_control* control = pages->memory().control;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    std::uint64_t records = 0;
    while (std::chrono::steady_clock::now() < end) {
        records = __atomic_load_n(&control->record_seq, __ATOMIC_ACQUIRE);
        __atomic_store_n(&control->record_cons, __atomic_load_n(&control->record_prod, __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    take(domctl->disable(domain), "disable");
    std::printf("%llu records\n", static_cast<unsigned long long>(records));
}
