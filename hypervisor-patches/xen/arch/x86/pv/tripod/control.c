/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The domctl, the shared pages, and the life of a struct tripod_domain. State is changed only while the domain is
 * paused, so that no hook runs meanwhile. Pages come and go with t->lock held: dom0's doorbell is rung without the event
 * channel's lock, so that closing the channel does not wait for one in flight.
 *
 * The shared pages belong to dom0, not to the guest: a PV guest may map any frame that it owns, so frames of its own
 * could be guessed and written to. They are freed when the last mapping of them is gone.
 */
#include "internal.h"

#include <xen/sched.h>
#include <xen/vmap.h>

#define RING_PAGES_MIN 64u
#define RING_PAGES_MAX 4096u

static void put_pages(struct page_info **pages, unsigned int count)
{
    unsigned int i;

    for ( i = 0; i < count; i++ )
    {
        put_page_alloc_ref(pages[i]);
        put_page_and_type(pages[i]);
    }
}

static struct page_info **get_pages(struct domain *owner, unsigned int count)
{
    struct page_info **pages = vzalloc(count * sizeof(*pages));
    unsigned int i;

    if ( !pages )
        return NULL;
    for ( i = 0; i < count; i++ )
    {
        pages[i] = alloc_domheap_page(owner, MEMF_no_refcount);
        if ( !pages[i] )
            break;
        if ( !get_page_and_type(pages[i], owner, PGT_writable_page) )
        {
            put_page_alloc_ref(pages[i]);
            break;
        }
    }
    if ( i == count )
        return pages;
    put_pages(pages, i);
    vfree(pages);
    return NULL;
}

static void *map_pages(struct page_info **pages, unsigned int count)
{
    mfn_t *mfns = vzalloc(count * sizeof(*mfns));
    void *va = NULL;
    unsigned int i;

    if ( mfns )
    {
        for ( i = 0; i < count; i++ )
            mfns[i] = page_to_mfn(pages[i]);
        va = vmap(mfns, count);
        vfree(mfns);
    }
    if ( va )
        memset(va, 0, (size_t)count * PAGE_SIZE);
    return va;
}

/* What enable() hands to a struct tripod_domain, and release() takes back. */
struct shared {
    struct tripod_control *control;
    uint8_t *record, *replay, *scratch;
    struct page_info **pages;
    unsigned int ring_pages;
    int evtchn;
};

static void free_shared(struct domain *d, const struct shared *s)
{
    if ( s->evtchn >= 0 )
        free_xen_event_channel(d, s->evtchn);
    if ( s->control )
        vunmap(s->control);
    if ( s->record )
        vunmap(s->record);
    if ( s->replay )
        vunmap(s->replay);
    vfree(s->scratch);
    if ( s->pages )
    {
        put_pages(s->pages, 1 + 2 * s->ring_pages);
        vfree(s->pages);
    }
}

/* The domain is paused, or gone. */
static void release(struct tripod_domain *t)
{
    struct shared s;

    spin_lock(&t->lock);
    s = (struct shared){ t->control, t->record, t->replay, t->scratch, t->pages, t->ring_pages, t->evtchn };
    t->mode = TRIPOD_MODE_off;
    t->control = NULL;
    t->record = t->replay = t->scratch = NULL;
    t->pages = NULL;
    t->ring_pages = 0;
    t->evtchn = -1;
    spin_unlock(&t->lock);
    stop_timer(&t->recheck);
    free_shared(t->d, &s);
}

static struct tripod_domain *create(struct domain *d)
{
    struct tripod_domain *t = vzalloc(sizeof(*t));

    if ( !t )
        return NULL;
    t->d = d;
    t->evtchn = -1;
    spin_lock_init(&t->lock);
    init_timer(&t->recheck, tripod_recheck, t, 0);
    d->arch.pv.tripod = t;
    return t;
}

static long enable(struct domain *d, struct xen_domctl_tripod *op)
{
    uint32_t ring_pages = op->u.enable.ring_pages;
    struct domain *owner = current->domain;
    struct tripod_domain *t = d->arch.pv.tripod;
    struct shared s = { .ring_pages = ring_pages, .evtchn = -1 };

    if ( d->max_vcpus != 1 )
        return -EOPNOTSUPP;
    if ( ring_pages < RING_PAGES_MIN || ring_pages > RING_PAGES_MAX || (ring_pages & (ring_pages - 1)) )
        return -EINVAL;
    if ( t && t->control )
        return -EEXIST;
    if ( !t )
        t = create(d);
    if ( !t )
        return -ENOMEM;

    s.pages = get_pages(owner, 1 + 2 * ring_pages);
    if ( !s.pages )
        return -ENOMEM;
    s.control = map_pages(s.pages, 1);
    s.record = map_pages(s.pages + 1, ring_pages);
    s.replay = map_pages(s.pages + 1 + ring_pages, ring_pages);
    s.scratch = vzalloc(TRIPOD_DIGEST_MAX);
    if ( !s.control || !s.record || !s.replay || !s.scratch )
    {
        free_shared(d, &s);
        return -ENOMEM;
    }

    s.evtchn = alloc_unbound_xen_event_channel(d, 0, owner->domain_id, tripod_doorbell);
    if ( s.evtchn < 0 )
    {
        free_shared(d, &s);
        return s.evtchn;
    }
    s.control->magic = TRIPOD_CONTROL_MAGIC;
    s.control->version = TRIPOD_INTERFACE_VERSION;
    s.control->ring_bytes = ring_pages * PAGE_SIZE;

    spin_lock(&t->lock);
    t->pages = s.pages;
    t->ring_pages = ring_pages;
    t->ring_bytes = ring_pages * PAGE_SIZE;
    t->control = s.control;
    t->record = s.record;
    t->replay = s.replay;
    t->scratch = s.scratch;
    t->evtchn = s.evtchn;
    t->have_profile = false;
    t->divergence = (struct tripod_divergence){};
    t->calls = 0;
    spin_unlock(&t->lock);
    op->u.enable.evtchn_port = s.evtchn;
    return 0;
}

/* While the domain runs: a look at it must not make it slower. */
static void status(const struct domain *d, struct xen_domctl_tripod *op)
{
    struct tripod_domain *t = is_pv_domain(d) ? ACCESS_ONCE(d->arch.pv.tripod) : NULL;

    memset(&op->u, 0, sizeof(op->u));
    op->u.status.now_ns = NOW();
    op->u.status.life = d->is_dying ? TRIPOD_LIFE_dying
                        : d->is_shutting_down || d->is_shut_down ? TRIPOD_LIFE_shutdown : TRIPOD_LIFE_running;
    if ( !t )
        return;
    spin_lock(&t->lock);
    op->u.status.mode = t->mode;
    op->u.status.waiting = t->control ? t->control->waits : 0;
    op->u.status.calls = t->calls;
    op->u.status.divergence = t->divergence;
    spin_unlock(&t->lock);
}

long tripod_domctl(struct domain *d, struct xen_domctl_tripod *op)
{
    uint32_t version = op->interface_version;
    struct tripod_domain *t;
    long rc = 0;

    op->interface_version = TRIPOD_INTERFACE_VERSION;
    if ( op->op == TRIPOD_OP_version )
        return 0;
    if ( version != TRIPOD_INTERFACE_VERSION )
        return -EOPNOTSUPP;
    if ( op->op == TRIPOD_OP_status )
    {
        status(d, op);
        return 0;
    }
    if ( !is_pv_64bit_domain(d) || d == current->domain )
        return -EOPNOTSUPP;

    domain_pause(d);
    domain_lock(d); /* it does not begin to die meanwhile */
    t = d->arch.pv.tripod;
    switch ( op->op )
    {
    case TRIPOD_OP_enable:
        rc = d->is_dying ? -ESRCH : enable(d, op);
        break;

    case TRIPOD_OP_disable:
        if ( t )
        {
            release(t);
            tripod_wake_all(t);
        }
        break;

    case TRIPOD_OP_profile:
        if ( !t || !t->control )
            rc = -ENOENT;
        else
        {
            t->profile = op->u.profile;
            t->have_profile = true;
        }
        break;

    case TRIPOD_OP_mode:
        if ( !t || !t->control )
            rc = -ENOENT;
        else
        {
            spin_lock(&t->lock);
            rc = tripod_set_mode(t, op->u.mode.mode, op->u.mode.next_seq);
            spin_unlock(&t->lock);
        }
        break;

    default:
        rc = -EINVAL;
        break;
    }
    domain_unlock(d);
    domain_unpause(d);
    return rc;
}

static void cf_check free_domain(struct rcu_head *rcu)
{
    vfree(container_of(rcu, struct tripod_domain, rcu));
}

void tripod_domain_destroy(struct domain *d)
{
    struct tripod_domain *t = d->arch.pv.tripod;

    if ( !t )
        return;
    write_atomic(&d->arch.pv.tripod, NULL);
    release(t);
    kill_timer(&t->recheck);
    /* A doorbell, a look at the status or a mapping may be on its way still. */
    call_rcu(&t->rcu, free_domain);
}

/* Pages of a resource; t->lock is held. */
static unsigned int max_frames(const struct tripod_domain *t, unsigned int id)
{
    if ( !t->pages )
        return 0;
    switch ( id )
    {
    case TRIPOD_RESOURCE_control:
        return 1;
    case TRIPOD_RESOURCE_record:
    case TRIPOD_RESOURCE_replay:
        return t->ring_pages;
    }
    return 0;
}

unsigned int tripod_resource_max_frames(const struct domain *d, unsigned int id)
{
    struct tripod_domain *t = is_pv_domain(d) ? ACCESS_ONCE(d->arch.pv.tripod) : NULL;
    unsigned int most = 0;

    if ( t )
    {
        spin_lock(&t->lock);
        most = max_frames(t, id);
        spin_unlock(&t->lock);
    }
    return most;
}

int tripod_acquire_resource(struct domain *d, unsigned int id, unsigned int frame, unsigned int nr_frames,
                            xen_pfn_t mfn_list[])
{
    struct tripod_domain *t = is_pv_domain(d) ? ACCESS_ONCE(d->arch.pv.tripod) : NULL;
    unsigned int most, i, first;
    int rc = -EINVAL;

    if ( !t )
        return rc;
    spin_lock(&t->lock);
    most = max_frames(t, id);
    if ( most && frame <= most && nr_frames <= most - frame )
        rc = page_get_owner(t->pages[0]) == current->domain ? nr_frames : -EACCES;
    first = id == TRIPOD_RESOURCE_control ? 0 : id == TRIPOD_RESOURCE_record ? 1 : 1 + t->ring_pages;
    for ( i = 0; rc > 0 && i < nr_frames; i++ )
        mfn_list[i] = mfn_x(page_to_mfn(t->pages[first + frame + i]));
    spin_unlock(&t->lock);
    return rc;
}
