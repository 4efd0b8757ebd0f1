/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few names of Xen that hypervisor-patches/xen/arch/x86/pv/tripod uses, for user space: internal.h includes
 * this header in place of env.h. What a guest is made of comes from fake_guest.cpp, through the functions declared
 * below.
 *
 * One vCPU, one thread of execution; a struct domain is the first member of the fake guest that it belongs to.
 */
#ifndef HARNESS_ENV_H
#define HARNESS_ENV_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "public/tripod.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t s_time_t;

/* In the order of Xen's own, as far as Tripod looks at it. */
struct cpu_user_regs {
    uint64_t r10, r9, r8, rax, rcx, rdx, rsi, rdi, rip, rsp;
};

struct domain;
struct tripod_domain;
struct page_info;

struct vcpu {
    struct domain* domain;
    struct vcpu* next_in_list;
    unsigned long pause_flags;
    bool blocked; /* by vcpu_block(); ended by vcpu_unblock() */
};

struct domain {
    struct vcpu vcpu0;
    struct tripod_domain* tripod;
};

struct timer {
    s_time_t expires;
    bool armed;
};

typedef struct {
    bool held;
} spinlock_t;

struct rcu_head {
    void* unused;
};

#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define cf_check
#define XENLOG_WARNING ""
#define SCHEDULE_SOFTIRQ 1
#define MILLISECS(ms) ((s_time_t)(ms)*1000000)
#define PFEC_write_access 2u
#define PFEC_user_mode 4u

/* What the harness does in place of Xen. */
struct vcpu* harness_current(void);
void harness_log(const char* format, ...) __attribute__((format(printf, 1, 2)));
s_time_t NOW(void);
void spin_lock(spinlock_t* lock);
void spin_unlock(spinlock_t* lock);
unsigned int copy_from_guest_pv(void* to, const void* from, unsigned int bytes);
unsigned int copy_to_guest_pv(void* to, const void* from, unsigned int bytes);
void pv_inject_page_fault(unsigned int error_code, unsigned long address);
void notify_via_xen_event_channel(struct domain* d, int port);
void vcpu_block(void);
void vcpu_unblock(struct vcpu* v);
void vcpu_wake(struct vcpu* v);
void raise_softirq(unsigned int nr);
void set_timer(struct timer* timer, s_time_t expires);
uint64_t xxh64(const void* input, size_t length, uint64_t seed);

/* As xen/tripod.h declares them. */
bool tripod_syscall_entry(struct cpu_user_regs* regs);
bool tripod_syscall_entry32(struct cpu_user_regs* regs);
unsigned long tripod_syscall_return(struct cpu_user_regs* regs, unsigned long rax);
void tripod_vcpu_idle(struct vcpu* v);

/* C++ includes this header only to see the structures. */
#ifndef __cplusplus
static inline void set_bit(int bit, void* word) {
    ((uint8_t*)word)[bit / 8] |= (uint8_t)(1u << (bit % 8));
}

static inline void clear_bit(int bit, void* word) {
    ((uint8_t*)word)[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

static inline bool test_and_clear_bit(int bit, void* word) {
    bool was = ((uint8_t*)word)[bit / 8] >> (bit % 8) & 1;

    clear_bit(bit, word);
    return was;
}

#define __user
#define unlikely(x) (x)
#define always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define _VPF_blocked_in_xen 5
#define current harness_current()
#define gprintk(level, ...) harness_log(__VA_ARGS__)
#define smp_mb() __sync_synchronize()
#define smp_rmb() __sync_synchronize()
#define smp_wmb() __sync_synchronize()
#define read_u32_atomic(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define write_u32_atomic(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define read_u64_atomic(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define write_u64_atomic(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define for_each_vcpu(d, v) for (v = &(d)->vcpu0; v; v = v->next_in_list)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define array_index_nospec(index, size) (index)
#define min_t(type, a, b)                                                                                          \
    ({                                                                                                             \
        type a_ = (a), b_ = (b);                                                                                   \
        a_ < b_ ? a_ : b_;                                                                                         \
    })
#define max_t(type, a, b)                                                                                          \
    ({                                                                                                             \
        type a_ = (a), b_ = (b);                                                                                   \
        a_ > b_ ? a_ : b_;                                                                                         \
    })
#define min(a, b)                                                                                                  \
    ({                                                                                                             \
        __auto_type a_ = (a);                                                                                      \
        __auto_type b_ = (b);                                                                                      \
        (void)(&a_ == &b_);                                                                                        \
        a_ < b_ ? a_ : b_;                                                                                         \
    })
#endif

#ifdef __cplusplus
}
#endif

#endif
