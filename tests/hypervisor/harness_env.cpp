// SPDX-License-Identifier: GPL-2.0-only
/** What the C files ask of Xen, answered by the fake guest that runs. */
#include "fake_guest.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <xxhash.h>

using tripod::test::running;

namespace {

constexpr std::uint64_t user_end = 1ULL << 47;
constexpr std::uint64_t xen_start = 0xffff800000000000, xen_end = 0xffff880000000000;

/** Xen's access_ok(): only where the copy starts is looked at. */
bool access_ok(const void* address) {
    const auto va = reinterpret_cast<std::uint64_t>(address);
    const bool ok = va < user_end || va >= xen_end;
    running->refused_addresses += ok ? 0 : 1;
    return ok;
}

[[noreturn]] void broken_program(const char* what) {
    std::fprintf(stderr, "harness: %s\n", what);
    std::abort();
}

} // namespace

extern "C" {

vcpu* harness_current(void) {
    return &running->dom.vcpu0;
}

void harness_log(const char* format, ...) {
    if (std::getenv("TRIPOD_HARNESS_LOG") == nullptr)
        return;
    va_list args;
    va_start(args, format);
    std::vfprintf(stderr, format, args);
    va_end(args);
}

s_time_t NOW(void) {
    return running->now++;
}

void spin_lock(spinlock_t* lock) {
    if (lock->held)
        broken_program("the lock is taken twice");
    lock->held = true;
}

void spin_unlock(spinlock_t* lock) {
    if (!lock->held)
        broken_program("the lock is not held");
    lock->held = false;
}

unsigned int copy_from_guest_pv(void* to, const void* from, unsigned int bytes) {
    if (!access_ok(from)) {
        std::memset(to, 0, bytes);
        return bytes;
    }
    return running->user.read(reinterpret_cast<std::uint64_t>(from), to, bytes);
}

unsigned int copy_to_guest_pv(void* to, const void* from, unsigned int bytes) {
    return access_ok(to) ? running->user.write(reinterpret_cast<std::uint64_t>(to), from, bytes) : bytes;
}

void pv_inject_page_fault(unsigned int error_code, unsigned long address) {
    running->fault = tripod::test::PageFault{address, error_code};
}

void notify_via_xen_event_channel(domain*, int) {
    ++running->notified;
    if (running->on_notify)
        running->on_notify();
}
void vcpu_block(void) {
    running->dom.vcpu0.blocked = true;
    if (running->on_block)
        running->on_block();
}
void vcpu_unblock(vcpu* v) {
    v->blocked = false;
}
void vcpu_wake(vcpu* v) {
    v->blocked = false;
}
void raise_softirq(unsigned int) {
    ++running->softirqs;
}

void set_timer(timer* timer, s_time_t expires) {
    timer->expires = expires;
    timer->armed = true;
}

uint64_t xxh64(const void* input, size_t length, uint64_t seed) {
    return XXH64(input, length, seed);
}

// In place of guest_memory.c:

tripod_domain* tripod_of(const domain* d) {
    return d->tripod;
}
uint64_t tripod_kernel_sp(const vcpu*) {
    return running->current_kernel_sp;
}
uint64_t tripod_kernel_gs(const vcpu*) {
    return tripod::test::FakeKernel::gs_base;
}

bool tripod_read_kernel_page(vcpu*, uint64_t va, void* to, uint32_t bytes) {
    if (bytes == 0 || (va & (PAGE_SIZE - 1)) + bytes > PAGE_SIZE)
        broken_program("a read of the guest kernel crosses a page's end");
    // Kernel addresses outside Xen's slots alone, as guest_memory.c has it.
    if (va >> 47 != 0x1ffff || (va >= xen_start && va < xen_end))
        return false;
    return running->kernel.memory.read(va, to, bytes) == 0;
}

} // extern "C"
