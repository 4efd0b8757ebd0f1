/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Segments of a record into the user memory of the thread that makes the call again. Where it goes is said by that
 * thread's own arguments, how much by the record, and never more than this call has room for: a replica that asks for
 * less than the primary did has strayed, and is told so before its memory is spoiled.
 */
#include "internal.h"

#define IOV_BYTES 16

enum tripod_verdict tripod_to_user(struct tripod_domain *t, uint64_t to, const void *from, uint32_t bytes)
{
    unsigned int missed = bytes ? copy_to_guest_pv((void __user *)to, from, bytes) : 0;

    if ( !missed )
        return TRIPOD_GO;
    t->fault_address = to + bytes - missed;
    t->fault_write = true;
    return TRIPOD_FAULT;
}

static enum tripod_verdict misfit(struct tripod_domain *t, uint64_t delivered, uint64_t room)
{
    t->delivered = delivered;
    t->room = room;
    return TRIPOD_MISFIT;
}

/* Bytes that the call has room for where argument `arg` points. TRIPOD_BROKEN: it gives nothing there. */
static enum tripod_verdict room_at(struct tripod_domain *t, const struct tripod_call *call, const uint64_t args[6],
                                   unsigned int arg, uint64_t *room)
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(call->outs) && call->outs[i].kind; i++ )
    {
        const struct tripod_out *out = &call->outs[i];
        enum tripod_verdict verdict;
        uint32_t length;

        if ( out->kind == TRIPOD_OUT_sized && out->count == arg )
        {
            *room = sizeof(length);
            return TRIPOD_GO;
        }
        if ( out->arg != arg )
            continue;
        switch ( out->kind )
        {
        case TRIPOD_OUT_result:
            *room = min_t(uint64_t, args[out->count], TRIPOD_PAYLOAD_MAX) * out->size;
            return TRIPOD_GO;
        case TRIPOD_OUT_fixed:
        case TRIPOD_OUT_child:
            *room = out->size;
            return TRIPOD_GO;
        case TRIPOD_OUT_array:
            *room = (uint64_t)(uint32_t)args[out->count] * out->size;
            return TRIPOD_GO;
        case TRIPOD_OUT_fdset:
            *room = (int32_t)args[0] > 0 ? ((uint64_t)(uint32_t)args[0] + 63) / 64 * 8 : 0;
            return TRIPOD_GO;
        case TRIPOD_OUT_sized:
            verdict = tripod_from_user(t, &length, args[out->count], sizeof(length));
            *room = length;
            return verdict;
        }
    }
    return TRIPOD_BROKEN;
}

static enum tripod_verdict scatter(struct tripod_domain *t, uint64_t array, uint64_t count, const uint8_t *from,
                                   uint32_t bytes)
{
    uint64_t i, iov[2];
    uint32_t left = bytes;

    for ( i = 0; left && i < min_t(uint64_t, count, TRIPOD_MAX_IOV); i++ )
    {
        enum tripod_verdict verdict = tripod_from_user(t, iov, array + i * IOV_BYTES, IOV_BYTES);
        uint32_t part;

        if ( verdict != TRIPOD_GO )
            return verdict;
        part = min_t(uint64_t, iov[1], left);
        verdict = tripod_to_user(t, iov[0], from, part);
        if ( verdict != TRIPOD_GO )
            return verdict;
        from += part;
        left -= part;
    }
    return left ? misfit(t, bytes, bytes - left) : TRIPOD_GO;
}

/* recvmsg: offsets of Linux' struct user_msghdr. */
static enum tripod_verdict apply_message(struct tripod_domain *t, uint64_t header,
                                         const struct tripod_segment *segment)
{
    uint64_t fields[7];
    enum tripod_verdict verdict = tripod_from_user(t, fields, header, sizeof(fields));
    const void *bytes = segment + 1;

    if ( verdict != TRIPOD_GO )
        return verdict;
    switch ( segment->kind )
    {
    case TRIPOD_SEG_name:
        if ( segment->length > (uint32_t)fields[1] )
            return misfit(t, segment->length, (uint32_t)fields[1]);
        return tripod_to_user(t, fields[0], bytes, segment->length);
    case TRIPOD_SEG_control:
        if ( segment->length > fields[5] )
            return misfit(t, segment->length, fields[5]);
        return tripod_to_user(t, fields[4], bytes, segment->length);
    case TRIPOD_SEG_iov:
        return scatter(t, fields[2], fields[3], bytes, segment->length);
    default: /* TRIPOD_SEG_msghdr */
    {
        const struct tripod_msghdr *given = bytes;

        if ( segment->length != sizeof(*given) )
            return TRIPOD_BROKEN;
        verdict = tripod_to_user(t, header + 8, &given->namelen, sizeof(given->namelen));
        if ( verdict == TRIPOD_GO )
            verdict = tripod_to_user(t, header + 40, &given->controllen, sizeof(given->controllen));
        if ( verdict == TRIPOD_GO )
            verdict = tripod_to_user(t, header + 48, &given->flags, sizeof(given->flags));
        return verdict;
    }
    }
}

/* The segment after this one, or NULL when it or this one leaves the record. */
static const struct tripod_segment *next_segment(const struct tripod_record *record, uint32_t *offset)
{
    const struct tripod_segment *segment = (const void *)record + *offset;
    uint32_t left = record->size - *offset;

    if ( left < sizeof(*segment) || segment->length > TRIPOD_PAYLOAD_MAX ||
         tripod_align8(segment->length) > left - sizeof(*segment) )
        return NULL;
    *offset += sizeof(*segment) + tripod_align8(segment->length);
    return segment;
}

const struct tripod_segment *tripod_segment_find(const struct tripod_record *record, unsigned int kind,
                                                 uint32_t length)
{
    uint32_t offset = sizeof(*record);
    unsigned int i;

    for ( i = 0; i < record->segments; i++ )
    {
        const struct tripod_segment *segment = next_segment(record, &offset);

        if ( !segment )
            return NULL;
        if ( segment->kind == kind && segment->length == length )
            return segment;
    }
    return NULL;
}

static enum tripod_verdict apply_argument(struct tripod_domain *t, const struct tripod_call *call,
                                          const uint64_t args[6], const struct tripod_segment *segment)
{
    uint64_t room;
    enum tripod_verdict verdict;

    if ( segment->kind == TRIPOD_SEG_iov )
        return scatter(t, args[segment->arg], args[2], (const void *)(segment + 1), segment->length);
    if ( segment->kind != TRIPOD_SEG_arg )
        return TRIPOD_BROKEN;
    verdict = room_at(t, call, args, segment->arg, &room);
    if ( verdict != TRIPOD_GO )
        return verdict;
    if ( segment->length > room )
        return misfit(t, segment->length, room);
    return tripod_to_user(t, args[segment->arg], segment + 1, segment->length);
}

enum tripod_verdict tripod_apply(struct tripod_domain *t, const uint64_t args[6], const struct tripod_record *record)
{
    enum tripod_verdict verdict = TRIPOD_GO;
    uint32_t offset = sizeof(*record);
    const struct tripod_call *call = tripod_call(record->nr);
    bool message = call && call->outs[0].kind == TRIPOD_OUT_message;
    const struct tripod_segment *header = NULL;
    unsigned int i;

    for ( i = 0; i < record->segments && verdict == TRIPOD_GO; i++ )
    {
        const struct tripod_segment *segment = next_segment(record, &offset);

        if ( !segment || segment->arg > 5 || !call )
            return TRIPOD_BROKEN;
        if ( segment->kind == TRIPOD_SEG_socket )
            continue;
        if ( message && segment->kind == TRIPOD_SEG_msghdr )
            header = segment; /* last: it says how much room there is for the others */
        else
            verdict = message ? apply_message(t, args[1], segment) : apply_argument(t, call, args, segment);
    }
    if ( verdict == TRIPOD_GO && header )
        verdict = apply_message(t, args[1], header);
    return verdict;
}
