/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls between their entry and their return, keyed by the thread's kernel stack and its user stack pointer (so that
 * a signal handler's calls do not meet the call that it interrupted). Few are pending at a time: a packed array.
 */
#include "internal.h"

struct tripod_pending *tripod_pending_find(struct tripod_domain *t, uint64_t ksp, uint64_t rsp)
{
    uint32_t i;

    for ( i = 0; i < t->pending_count; i++ )
        if ( t->pending[i].ksp == ksp && t->pending[i].rsp == rsp )
            return &t->pending[i];
    return NULL;
}

struct tripod_pending *tripod_pending_add(struct tripod_domain *t, const struct tripod_thread *thread,
                                          const struct cpu_user_regs *regs, unsigned int nr)
{
    struct tripod_pending *p;

    if ( t->pending_count == TRIPOD_MAX_PENDING )
        return NULL;

    p = &t->pending[t->pending_count++];
    *p = (struct tripod_pending){
        .ksp = thread->ksp,
        .rsp = regs->rsp,
        .rip = regs->rip,
        .args = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 },
        .tid = thread->tid,
        .tgid = thread->tgid,
        .fd = -1,
        .nr = nr,
    };
    return p;
}

void tripod_pending_drop(struct tripod_domain *t, struct tripod_pending *p)
{
    *p = t->pending[--t->pending_count];
}
