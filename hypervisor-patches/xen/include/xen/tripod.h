/* SPDX-License-Identifier: GPL-2.0-only */
/* The doors of Tripod into the rest of Xen; see arch/x86/pv/tripod/internal.h. */
#ifndef XEN_TRIPOD_H
#define XEN_TRIPOD_H

#include <xen/types.h>
#include <public/tripod.h>
#include <public/xen.h>

struct cpu_user_regs;
struct domain;
struct vcpu;
struct tripod_domain;

/*
 * A PV guest's user code made a system call: 64-bit by SYSCALL, or (abi 32) by int80, SYSENTER or a 32-bit SYSCALL.
 * Returns true when it is dealt with and the guest kernel shall not see it. Called from entry.S, interrupts enabled,
 * only for a domain with a struct tripod_domain.
 */
bool tripod_syscall_entry(struct cpu_user_regs *regs);
bool tripod_syscall_entry32(struct cpu_user_regs *regs);

/* The guest kernel returns to user code, to regs with `rax`. Returns the rax to use; may change regs. */
unsigned long tripod_syscall_return(struct cpu_user_regs *regs, unsigned long rax);

/* The guest kernel has nothing to run. */
void tripod_vcpu_idle(struct vcpu *v);

long tripod_domctl(struct domain *d, struct xen_domctl_tripod *op);
void tripod_domain_destroy(struct domain *d);

unsigned int tripod_resource_max_frames(const struct domain *d, unsigned int id);
/* Frames belong to the calling domain, not to d. */
int tripod_acquire_resource(struct domain *d, unsigned int id, unsigned int frame, unsigned int nr_frames,
                            xen_pfn_t mfn_list[]);

#endif
