/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two rings. Records lie in one piece: one that does not fit before the ring's end is preceded by a pad that
 * fills it. Positions are byte counts that only grow; see public/tripod.h.
 */
#include "internal.h"

static uint32_t ring_offset(const struct tripod_domain *t, uint64_t position)
{
    return position & (t->ring_bytes - 1);
}

/* Bytes that must be free to place `bytes`: the pad before them included. */
static uint32_t ring_need(const struct tripod_domain *t, uint32_t bytes, uint32_t *pad)
{
    uint32_t rest = t->ring_bytes - ring_offset(t, t->record_prod);

    *pad = rest < bytes ? rest : 0;
    return *pad + bytes;
}

bool tripod_ring_has_room(const struct tripod_domain *t, uint32_t bytes)
{
    uint32_t pad;
    uint64_t used = t->record_prod - read_u64_atomic(&t->control->record_cons);

    /* A consumer ahead of the producer is nonsense: as good as full. */
    return used <= t->ring_bytes && ring_need(t, bytes, &pad) <= t->ring_bytes - used;
}

struct tripod_record *tripod_ring_reserve(struct tripod_domain *t, uint32_t bytes)
{
    uint32_t pad;

    if ( !tripod_ring_has_room(t, bytes) )
        return NULL;
    smp_mb(); /* what dom0 read before it freed the room must be read before we write there */
    ring_need(t, bytes, &pad);
    t->reserved_pad = pad;
    return (void *)(t->record + ring_offset(t, t->record_prod + pad));
}

void tripod_ring_publish(struct tripod_domain *t, struct tripod_record *record)
{
    if ( t->reserved_pad )
    {
        struct tripod_record *pad = (void *)(t->record + ring_offset(t, t->record_prod));

        pad->size = t->reserved_pad;
        pad->type = TRIPOD_REC_pad;
    }
    record->seq = t->record_seq++;
    record->time_ns = NOW();
    t->record_prod += t->reserved_pad + record->size;

    smp_wmb();
    write_u64_atomic(&t->control->record_seq, t->record_seq);
    write_u64_atomic(&t->control->record_prod, t->record_prod);
}

const struct tripod_record *tripod_replay_head(struct tripod_domain *t, bool *broken)
{
    uint64_t prod = read_u64_atomic(&t->control->replay_prod);

    smp_rmb();
    /* A producer out of reach is nonsense; pads must not make us run after it for ever. */
    *broken = prod - t->replay_cons > t->ring_bytes;
    if ( *broken )
        return NULL;
    while ( t->replay_cons != prod )
    {
        uint32_t offset = ring_offset(t, t->replay_cons);
        uint64_t there = min_t(uint64_t, prod - t->replay_cons, t->ring_bytes - offset);
        const struct tripod_record *head = (const void *)(t->replay + offset);

        if ( there < 8 || head->size > there || head->size < 8 || (head->size & 7) )
            break;
        if ( head->type == TRIPOD_REC_pad )
        {
            t->replay_cons += head->size;
            write_u64_atomic(&t->control->replay_cons, t->replay_cons);
            continue;
        }
        if ( head->size < sizeof(*head) || head->seq != t->replay_seq )
            break;
        return head;
    }
    *broken = t->replay_cons != prod;
    return NULL;
}

void tripod_replay_advance(struct tripod_domain *t, const struct tripod_record *head)
{
    t->replay_cons += head->size;
    t->replay_seq++;
    write_u64_atomic(&t->control->replay_seq, t->replay_seq);
    smp_mb(); /* done with the record before dom0 may reuse its room */
    write_u64_atomic(&t->control->replay_cons, t->replay_cons);
}
