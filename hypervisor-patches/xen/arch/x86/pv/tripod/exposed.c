/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the guest kernel's copy of an input to user memory and the return to user code, where it is logged, another
 * thread can run, see those bytes and send what it makes of them. It sends by a system call: so at each entry the calls
 * of other threads that may be in between are counted, for dom0, whose gate holds what is sent until the count is 0.
 *
 * A thread in an interruptible sleep waits for its input still. It stays counted no longer than that: a count that only
 * went down when the next input came would hold the last answers of a guest that then rests.
 */
#include "internal.h"

static bool delivers(const struct tripod_pending *p)
{
    if ( p->state != TRIPOD_PENDING_native && p->state != TRIPOD_PENDING_captured )
        return false;
    switch ( p->call_class )
    {
    case TRIPOD_CLASS_input:
    case TRIPOD_CLASS_wait:
    case TRIPOD_CLASS_value:
    case TRIPOD_CLASS_accept:
    case TRIPOD_CLASS_socket:
        return true;
    }
    return false;
}

void tripod_set_exposed(struct tripod_domain *t, struct tripod_pending *p, bool exposed)
{
    t->exposed += exposed - p->exposed;
    p->exposed = exposed;
}

void tripod_publish_exposed(struct tripod_domain *t)
{
    uint32_t before;

    if ( !t->control )
        return;
    before = t->control->exposed;
    if ( before == t->exposed )
        return;
    smp_wmb(); /* fewer: after record_seq, which counts the record of what was exposed */
    write_u32_atomic(&t->control->exposed, t->exposed);
    smp_wmb(); /* more: before anything that the entering call does */
    if ( before && !t->exposed )
        tripod_notify(t); /* dom0 may have found it not 0, and waits */
}

void tripod_look_exposed(struct tripod_domain *t, struct vcpu *v)
{
    uint32_t i = 0;

    while ( i < t->pending_count )
    {
        struct tripod_pending *p = &t->pending[i];

        if ( delivers(p) )
        {
            enum tripod_task_fate fate = tripod_task_look(t, v, p->task, p->tid);

            if ( fate == TRIPOD_TASK_gone )
            {
                tripod_pending_drop(t, p); /* another one is in its place now */
                continue;
            }
            /* One whose result is known is out of the kernel already, whatever it waits for. */
            tripod_set_exposed(t, p, fate == TRIPOD_TASK_awake || p->state == TRIPOD_PENDING_captured);
        }
        else
            tripod_set_exposed(t, p, false);
        i++;
    }
    tripod_publish_exposed(t);
}

bool tripod_may_expose(const struct tripod_domain *t, struct vcpu *v)
{
    return tripod_recording(t) && t->pending_count &&
           (t->exposed || t->captured_count || tripod_pending_any(t, tripod_kernel_sp(v)) ||
            tripod_runnable_threads(t, v) > 1);
}
