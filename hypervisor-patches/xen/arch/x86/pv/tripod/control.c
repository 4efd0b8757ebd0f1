/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The domctl, the shared pages, and the life of a struct tripod_domain. State is changed only while the domain is
 * paused, so that no hook runs meanwhile.
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

/* The domain is paused, or gone. */
static void release(struct tripod_domain *t)
{
    t->mode = TRIPOD_MODE_off;
    if ( t->evtchn >= 0 )
        free_xen_event_channel(t->d, t->evtchn);
    t->evtchn = -1;
    stop_timer(&t->recheck);
    if ( t->control )
        vunmap(t->control);
    if ( t->record )
        vunmap(t->record);
    if ( t->replay )
        vunmap(t->replay);
    if ( t->scratch )
        vfree(t->scratch);
    t->control = NULL;
    t->record = t->replay = t->scratch = NULL;
    if ( t->pages )
    {
        put_pages(t->pages, 1 + 2 * t->ring_pages);
        vfree(t->pages);
    }
    t->pages = NULL;
    t->ring_pages = 0;
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
    int port;

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

    t->pages = get_pages(owner, 1 + 2 * ring_pages);
    if ( !t->pages )
        return -ENOMEM;
    t->ring_pages = ring_pages;
    t->ring_bytes = ring_pages * PAGE_SIZE;
    t->control = map_pages(t->pages, 1);
    t->record = map_pages(t->pages + 1, ring_pages);
    t->replay = map_pages(t->pages + 1 + ring_pages, ring_pages);
    t->scratch = vzalloc(TRIPOD_DIGEST_MAX);
    if ( !t->control || !t->record || !t->replay || !t->scratch )
    {
        release(t);
        return -ENOMEM;
    }

    port = alloc_unbound_xen_event_channel(d, 0, owner->domain_id, tripod_doorbell);
    if ( port < 0 )
    {
        release(t);
        return port;
    }
    t->evtchn = port;
    t->have_profile = false;
    t->divergence = (struct tripod_divergence){};
    t->calls = 0;
    t->control->magic = TRIPOD_CONTROL_MAGIC;
    t->control->version = TRIPOD_INTERFACE_VERSION;
    t->control->ring_bytes = t->ring_bytes;
    op->u.enable.evtchn_port = port;
    return 0;
}

static void status(const struct tripod_domain *t, struct xen_domctl_tripod *op)
{
    memset(&op->u, 0, sizeof(op->u));
    op->u.status.now_ns = NOW();
    if ( !t )
        return;
    op->u.status.mode = t->mode;
    op->u.status.waiting = t->control ? t->control->waits : 0;
    op->u.status.calls = t->calls;
    op->u.status.divergence = t->divergence;
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
    if ( op->op == TRIPOD_OP_status && !is_pv_domain(d) )
    {
        status(NULL, op);
        return 0;
    }
    if ( !is_pv_64bit_domain(d) || d == current->domain )
        return -EOPNOTSUPP;

    domain_pause(d);
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
        rc = t && t->control ? tripod_set_mode(t, op->u.mode.mode, op->u.mode.next_seq) : -ENOENT;
        break;

    case TRIPOD_OP_status:
        status(t, op);
        break;

    default:
        rc = -EINVAL;
        break;
    }
    domain_unpause(d);
    return rc;
}

void tripod_domain_destroy(struct domain *d)
{
    struct tripod_domain *t = d->arch.pv.tripod;

    if ( !t )
        return;
    d->arch.pv.tripod = NULL;
    release(t);
    kill_timer(&t->recheck);
    vfree(t);
}

unsigned int tripod_resource_max_frames(const struct domain *d, unsigned int id)
{
    const struct tripod_domain *t = is_pv_domain(d) ? d->arch.pv.tripod : NULL;

    if ( !t || !t->pages )
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

int tripod_acquire_resource(struct domain *d, unsigned int id, unsigned int frame, unsigned int nr_frames,
                            xen_pfn_t mfn_list[])
{
    unsigned int most = tripod_resource_max_frames(d, id), i, first;
    const struct tripod_domain *t = is_pv_domain(d) ? d->arch.pv.tripod : NULL;

    if ( !most || frame > most || nr_frames > most - frame )
        return -EINVAL;
    if ( page_get_owner(t->pages[0]) != current->domain )
        return -EACCES;
    first = id == TRIPOD_RESOURCE_control ? 0 : id == TRIPOD_RESOURCE_record ? 1 : 1 + t->ring_pages;
    for ( i = 0; i < nr_frames; i++ )
        mfn_list[i] = mfn_x(page_to_mfn(t->pages[first + frame + i]));
    return nr_frames;
}
