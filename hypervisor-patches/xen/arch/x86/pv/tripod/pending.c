/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls between their entry and their return, keyed by the thread's kernel stack and its user stack pointer (so that
 * a signal handler's calls do not meet the call that it interrupted). Few are pending at a time: a packed array, with
 * a hash over the stacks.
 */
#include "internal.h"

static uint16_t *bucket_of(struct tripod_domain *t, uint64_t ksp)
{
    return &t->pending_buckets[tripod_pending_bucket(ksp)];
}

/* The link that leads to the entry of that index. */
static uint16_t *link_to(struct tripod_domain *t, uint32_t index)
{
    uint16_t *link = bucket_of(t, t->pending[index].ksp);

    while ( *link != index + 1 )
        link = &t->pending[*link - 1].next;
    return link;
}

struct tripod_pending *tripod_pending_find(struct tripod_domain *t, uint64_t ksp, uint64_t rsp)
{
    uint16_t next;

    for ( next = *bucket_of(t, ksp); next; next = t->pending[next - 1].next )
        if ( t->pending[next - 1].ksp == ksp && t->pending[next - 1].rsp == rsp )
            return &t->pending[next - 1];
    return NULL;
}

bool tripod_pending_any(const struct tripod_domain *t, uint64_t ksp)
{
    uint16_t next;

    for ( next = t->pending_buckets[tripod_pending_bucket(ksp)]; next; next = t->pending[next - 1].next )
        if ( t->pending[next - 1].ksp == ksp )
            return true;
    return false;
}

/* Another thread has that stack now: whoever made these calls is gone. */
static void drop_strangers(struct tripod_domain *t, const struct tripod_thread *thread)
{
    uint16_t next = *bucket_of(t, thread->ksp);

    while ( next )
    {
        struct tripod_pending *p = &t->pending[next - 1];

        if ( p->ksp == thread->ksp && p->tid != thread->tid )
        {
            tripod_pending_drop(t, p); /* moves another one: begin anew */
            next = *bucket_of(t, thread->ksp);
        }
        else
            next = p->next;
    }
}

void tripod_pending_drop_stack(struct tripod_domain *t, uint64_t ksp)
{
    const struct tripod_thread nobody = { .ksp = ksp };

    drop_strangers(t, &nobody);
}

void tripod_pending_drop_gone(struct tripod_domain *t, struct vcpu *v)
{
    uint32_t i = 0;

    while ( i < t->pending_count )
        if ( tripod_task_look(t, v, t->pending[i].task, t->pending[i].tid) == TRIPOD_TASK_gone )
            tripod_pending_drop(t, &t->pending[i]);
        else
            i++;
}

struct tripod_pending *tripod_pending_add(struct tripod_domain *t, const struct tripod_thread *thread,
                                          const struct cpu_user_regs *regs, unsigned int nr)
{
    struct tripod_pending *p;
    uint16_t *bucket = bucket_of(t, thread->ksp);

    if ( *bucket )
        drop_strangers(t, thread);
    if ( t->pending_count == TRIPOD_MAX_PENDING )
        tripod_pending_drop_gone(t, current);
    if ( t->pending_count == TRIPOD_MAX_PENDING )
        return NULL;

    p = &t->pending[t->pending_count++];
    *p = (struct tripod_pending){
        .ksp = thread->ksp,
        .rsp = regs->rsp,
        .rip = regs->rip,
        .task = thread->task,
        .args = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 },
        .tid = thread->tid,
        .tgid = thread->tgid,
        .fd = -1,
        .nr = nr,
        .next = *bucket,
    };
    *bucket = t->pending_count;
    return p;
}

void tripod_pending_drop(struct tripod_domain *t, struct tripod_pending *p)
{
    uint32_t index = p - t->pending, last = t->pending_count - 1;

    tripod_set_exposed(t, p, false);
    tripod_publish_exposed(t);
    if ( p->state == TRIPOD_PENDING_captured )
        t->captured_count--;
    *link_to(t, index) = p->next;
    if ( index != last )
    {
        *link_to(t, last) = index + 1;
        *p = t->pending[last];
    }
    t->pending_count--;
}
