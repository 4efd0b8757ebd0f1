/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one way to wait: the thread tries its call again. While other threads could run, it gives way to them by a
 * sched_yield in the call's place; when it is alone, its vCPU sleeps at the syscall instruction until a ring, the
 * gate or an event moves.
 *
 * A sleeper on an empty replay ring sleeps deeper: guest events do not wake it, only dom0's kick or a short timer. An
 * idle backup would else be woken by its own timer tick hundreds of times a second, to no end.
 */
#include "internal.h"

/*
 * How long guest events may wait for a vCPU that sleeps on the replay ring: while other threads have native work to do,
 * and while nothing else is runnable. The latter decides what an idle backup costs: each recheck is a timer tick.
 */
#define RECHECK_BUSY_NS MILLISECS(20)
#define RECHECK_IDLE_NS MILLISECS(200)
/* So many tries in a row without any call going through: all that is runnable waits, even if it is many. */
#define SPIN_LIMIT 64

void tripod_notify(struct tripod_domain *t)
{
    if ( t->evtchn >= 0 )
        notify_via_xen_event_channel(t->d, t->evtchn);
}

void tripod_wake_all(struct tripod_domain *t)
{
    struct vcpu *v;

    for_each_vcpu ( t->d, v )
    {
        if ( test_and_clear_bit(_VPF_blocked_in_xen, &v->pause_flags) )
            vcpu_wake(v);
        vcpu_unblock(v);
    }
}

void cf_check tripod_doorbell(struct vcpu *v, unsigned int port)
{
    struct tripod_domain *t = tripod_of(v->domain);

    /*
     * The channel's lock is not held: the domain may lose its pages, or all of its state, meanwhile. The state is freed
     * by RCU, and who calls is in a read-side section of it.
     */
    if ( !t )
        return;
    spin_lock(&t->lock);
    if ( t->control )
    {
        (void)xchg(&t->control->waits, 0);
        t->notified = false;
        tripod_wake_all(t);
    }
    spin_unlock(&t->lock);
}

void cf_check tripod_recheck(void *domain)
{
    tripod_wake_all(domain);
}

void tripod_progress(struct tripod_domain *t)
{
    t->retries = 0;
}

void tripod_note_wait(struct tripod_domain *t)
{
    set_bit(ffs(t->wait_reason) - 1, &t->control->waits);
    smp_mb(); /* said before the last look at what it waits for */
}

/* Did what the thread waits for come while it made ready to wait? */
static bool satisfied(const struct tripod_domain *t)
{
    switch ( t->wait_reason )
    {
    case TRIPOD_WAIT_gate:
        return tripod_gate_has_room(t);
    case TRIPOD_WAIT_space:
        return tripod_ring_has_room(t, t->wait_bytes);
    default:
        return t->mode == TRIPOD_MODE_replay && !t->divergence.reason && !t->wait_thread &&
               read_u64_atomic(&t->control->replay_prod) != t->replay_cons;
    }
}

static void sleep_on_ring(struct tripod_domain *t, struct vcpu *v)
{
    set_bit(_VPF_blocked_in_xen, &v->pause_flags);
    raise_softirq(SCHEDULE_SOFTIRQ);
    smp_mb(); /* flag before the check: a kick from now on wakes us */
    if ( satisfied(t) )
        clear_bit(_VPF_blocked_in_xen, &v->pause_flags);
    else
        set_timer(&t->recheck,
                  NOW() + (tripod_runnable_threads(t, v) > 1 ? RECHECK_BUSY_NS : RECHECK_IDLE_NS));
}

void tripod_sleep(struct tripod_domain *t, struct vcpu *v)
{
    vcpu_block();
    smp_mb(); /* flag before the check: a kick from now on wakes us */
    if ( satisfied(t) )
        vcpu_unblock(v);
}

bool tripod_wait(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                 const struct tripod_entry *entry)
{
    struct tripod_pending *p = NULL;

    tripod_note_wait(t);
    if ( !satisfied(t) )
    {
        if ( t->wait_reason != TRIPOD_WAIT_replay && !t->notified )
        {
            t->notified = true;
            tripod_notify(t);
        }
        if ( ++t->retries < SPIN_LIMIT && tripod_runnable_threads(t, v) > 1 )
            p = tripod_pending_add(t, &entry->thread, regs, entry->nr);
        if ( p )
        {
            p->state = TRIPOD_PENDING_yielded;
            regs->rax = TRIPOD_NR_sched_yield;
            return false;
        }
        if ( t->wait_reason == TRIPOD_WAIT_replay && !t->wait_thread )
            sleep_on_ring(t, v);
        else
            tripod_sleep(t, v);
    }
    regs->rip -= 2; /* back to the syscall instruction; rax still has the number */
    return true;
}
