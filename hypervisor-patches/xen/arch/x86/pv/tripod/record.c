/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Modes record and trace: the guest kernel runs the call, its outcome is logged at the return to user code. What an
 * output sends is held in dom0's gate until all records before it are committed; here it only waits, in mode record,
 * while the gate holds as much as it may.
 */
#include "internal.h"

bool tripod_gate_has_room(const struct tripod_domain *t)
{
    return t->mode != TRIPOD_MODE_record || !read_u32_atomic(&t->control->gate_full);
}

/* Notes how much room the caller gave for a length-prefixed result, which the kernel will overwrite. */
static enum tripod_verdict read_capacity(struct tripod_domain *t, const struct tripod_entry *entry,
                                         uint32_t *capacity)
{
    unsigned int i;

    *capacity = 0;
    for ( i = 0; i < ARRAY_SIZE(entry->call->outs) && entry->call->outs[i].kind; i++ )
    {
        const struct tripod_out *out = &entry->call->outs[i];
        uint64_t at = 0;
        enum tripod_verdict verdict;

        if ( out->kind == TRIPOD_OUT_sized && entry->args[out->arg] )
            at = entry->args[out->count];
        else if ( out->kind == TRIPOD_OUT_message && entry->args[out->arg] )
            at = entry->args[out->arg] + TRIPOD_MSG_NAMELEN;
        if ( !at )
            continue;
        verdict = tripod_from_user(t, capacity, at, sizeof(*capacity));
        *capacity = min_t(uint32_t, *capacity, TRIPOD_PAYLOAD_MAX / 2);
        return verdict;
    }
    return TRIPOD_GO;
}

static void clamp_length(struct cpu_user_regs *regs, const struct tripod_call *call)
{
    unsigned long most = TRIPOD_PAYLOAD_MAX / (call->clamp_unit ?: 1);

    switch ( call->clamp )
    {
    case 1:
        regs->rsi = min_t(unsigned long, regs->rsi, most);
        break;
    case 2:
        /* epoll's is an int: a negative one must stay an error, and its upper half says nothing. */
        if ( call->clamp_unit == 1 ? regs->rdx > most : (int32_t)regs->rdx > (int32_t)most )
            regs->rdx = most;
        break;
    }
}

enum tripod_verdict tripod_record_entry(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                                        const struct tripod_entry *entry, bool *answered)
{
    struct tripod_pending *p;
    uint32_t capacity;
    enum tripod_verdict verdict;

    if ( entry->call_class == TRIPOD_CLASS_output && !tripod_gate_has_room(t) )
    {
        t->wait_reason = TRIPOD_WAIT_gate;
        return TRIPOD_WAIT;
    }
    verdict = read_capacity(t, entry, &capacity);
    if ( verdict != TRIPOD_GO )
        return verdict;

    p = tripod_pending_add(t, &entry->thread, regs, entry->nr);
    if ( !p )
    {
        tripod_guest_broken(t, TRIPOD_GUEST_too_many, entry->thread.tid, entry->nr);
        return TRIPOD_BROKEN;
    }
    p->state = TRIPOD_PENDING_native;
    p->call_class = entry->call_class;
    p->fd = entry->fd;
    p->capacity = capacity;
    clamp_length(regs, entry->call);
    *answered = false;
    return TRIPOD_GO;
}

struct tripod_record *tripod_record_begin(struct tripod_domain *t, uint32_t bound, unsigned int type, uint32_t tid,
                                          uint32_t tgid, int32_t fd)
{
    struct tripod_record *record = tripod_ring_reserve(t, bound);

    if ( !record )
    {
        t->wait_reason = TRIPOD_WAIT_space;
        t->wait_bytes = bound;
        return NULL;
    }
    *record = (struct tripod_record){
        .size = sizeof(*record),
        .type = type,
        .tid = tid,
        .tgid = tgid,
        .fd = fd,
    };
    return record;
}

void tripod_record_end(struct tripod_domain *t, struct tripod_record *record)
{
    uint64_t notify_seq;

    tripod_ring_publish(t, record);
    notify_seq = read_u64_atomic(&t->control->notify_seq);
    if ( t->record_seq >= notify_seq && notify_seq != t->notified_seq )
    {
        t->notified_seq = notify_seq;
        tripod_notify(t);
    }
}

enum tripod_verdict tripod_record_emit(struct tripod_domain *t, struct vcpu *v, const struct tripod_pending *p,
                                       int64_t result)
{
    const struct tripod_call *call = tripod_call(p->nr);
    uint32_t bound = tripod_record_bound(call, p, result);
    struct tripod_record *record;
    enum tripod_verdict verdict = TRIPOD_GO;
    struct tripod_socket socket = {};
    struct tripod_thread thread;

    if ( !bound )
    {
        tripod_guest_broken(t, TRIPOD_GUEST_too_large, p->tid, p->nr);
        return TRIPOD_BROKEN;
    }
    record = tripod_record_begin(t, bound, TRIPOD_REC_call, p->tid, p->tgid, p->fd);
    if ( !record )
        return TRIPOD_WAIT;

    record->nr = p->nr;
    record->call_class = p->call_class;
    record->result = result;
    memcpy(record->arg, p->args, sizeof(record->arg));
    if ( p->call_class == TRIPOD_CLASS_output && result >= 0 )
        verdict = tripod_digest(t, call, p->args, &record->digest, &record->length);
    if ( verdict == TRIPOD_GO )
        verdict = tripod_marshal(t, call, p, result, record);
    if ( verdict != TRIPOD_GO )
        return verdict;

    if ( p->call_class == TRIPOD_CLASS_accept && result >= 0 && tripod_thread_read(t, v, &thread) &&
         tripod_fd_kind(t, v, &thread, result, &socket) == TRIPOD_FD_network )
        tripod_segment_add(record, TRIPOD_SEG_socket, &socket, sizeof(socket));
    tripod_record_end(t, record);
    return TRIPOD_GO;
}
