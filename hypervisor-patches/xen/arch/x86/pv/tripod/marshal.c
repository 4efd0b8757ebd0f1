/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a call gave, from user memory into the segments of a record, and the digest of what an output sends. Lengths
 * and addresses come from the guest: each is read once and bounded before use.
 */
#include "internal.h"

struct user_iovec {
    uint64_t base, length;
};

/* Linux' struct user_msghdr. */
struct user_msghdr {
    uint64_t name;
    uint32_t namelen, pad0;
    uint64_t iov, iovlen;
    uint64_t control, controllen;
    uint32_t flags, pad1;
};

enum tripod_verdict tripod_from_user(struct tripod_domain *t, void *to, uint64_t from, uint32_t bytes)
{
    unsigned int missed = bytes ? copy_from_guest_pv(to, (const void __user *)from, bytes) : 0;

    if ( !missed )
        return TRIPOD_GO;
    t->fault_address = from + bytes - missed;
    t->fault_write = false;
    return TRIPOD_FAULT;
}

/* Adds a segment of `length` bytes at user address `from`. The caller has reserved the room. */
static enum tripod_verdict add_from_user(struct tripod_domain *t, struct tripod_record *record, unsigned int kind,
                                         unsigned int arg, uint64_t from, uint32_t length)
{
    struct tripod_segment *segment = (void *)record + record->size;
    enum tripod_verdict verdict;

    *segment = (struct tripod_segment){ .kind = kind, .arg = arg, .length = length };
    verdict = tripod_from_user(t, segment + 1, from, length);
    if ( verdict != TRIPOD_GO )
        return verdict;
    memset((void *)(segment + 1) + length, 0, tripod_align8(length) - length);
    record->size += sizeof(*segment) + tripod_align8(length);
    record->segments++;
    return TRIPOD_GO;
}

void tripod_segment_add(struct tripod_record *record, unsigned int kind, const void *bytes, uint32_t length)
{
    struct tripod_segment *segment = (void *)record + record->size;

    *segment = (struct tripod_segment){ .kind = kind, .length = length };
    memcpy(segment + 1, bytes, length);
    memset((void *)(segment + 1) + length, 0, tripod_align8(length) - length);
    record->size += sizeof(*segment) + tripod_align8(length);
    record->segments++;
}

static enum tripod_verdict too_large(struct tripod_domain *t, const struct tripod_pending *p)
{
    tripod_guest_broken(t, TRIPOD_GUEST_too_large, p->tid, p->nr);
    return TRIPOD_BROKEN;
}

/* A segment of `left` bytes that lie across an iovec array in user memory. */
static enum tripod_verdict add_iov(struct tripod_domain *t, struct tripod_record *record, unsigned int arg,
                                   uint64_t array, uint64_t count, uint32_t left)
{
    struct tripod_segment *segment = (void *)record + record->size;
    uint8_t *to = (void *)(segment + 1);
    uint64_t i;

    *segment = (struct tripod_segment){ .kind = TRIPOD_SEG_iov, .arg = arg };
    for ( i = 0; left && i < min_t(uint64_t, count, TRIPOD_MAX_IOV); i++ )
    {
        struct user_iovec iov;
        enum tripod_verdict verdict = tripod_from_user(t, &iov, array + i * sizeof(iov), sizeof(iov));
        uint32_t part;

        if ( verdict != TRIPOD_GO )
            return verdict;
        part = min_t(uint64_t, iov.length, left);
        verdict = tripod_from_user(t, to, iov.base, part);
        if ( verdict != TRIPOD_GO )
            return verdict;
        to += part;
        left -= part;
        segment->length += part;
    }
    memset(to, 0, tripod_align8(segment->length) - segment->length);
    record->size += sizeof(*segment) + tripod_align8(segment->length);
    record->segments++;
    return TRIPOD_GO;
}

static enum tripod_verdict add_message(struct tripod_domain *t, struct tripod_record *record,
                                       const struct tripod_pending *p, int64_t result, uint64_t address)
{
    struct user_msghdr message;
    struct tripod_msghdr given;
    enum tripod_verdict verdict = tripod_from_user(t, &message, address, sizeof(message));

    if ( verdict != TRIPOD_GO )
        return verdict;
    /* The kernel stored the lengths that it used; a guest that changed them since gets what it asked for. */
    if ( message.namelen > 128 || message.controllen > 4096 )
        return too_large(t, p);
    given = (struct tripod_msghdr){ message.namelen, message.flags, message.controllen };
    tripod_segment_add(record, TRIPOD_SEG_msghdr, &given, sizeof(given));

    if ( message.name && message.namelen )
        verdict = add_from_user(t, record, TRIPOD_SEG_name, 1, message.name, min(message.namelen, p->capacity));
    if ( verdict == TRIPOD_GO && message.control && message.controllen )
        verdict = add_from_user(t, record, TRIPOD_SEG_control, 1, message.control, message.controllen);
    if ( verdict == TRIPOD_GO )
        verdict = add_iov(t, record, 1, message.iov, message.iovlen, result);
    return verdict;
}

/* Bytes of an out-argument whose size is known without looking at user memory. */
static uint64_t out_bytes(const struct tripod_out *out, const struct tripod_pending *p, int64_t result)
{
    uint64_t bytes;

    switch ( out->kind )
    {
    case TRIPOD_OUT_result:
        bytes = result > 0 ? min_t(uint64_t, result, p->args[out->count]) * out->size : 0;
        break;
    case TRIPOD_OUT_fixed:
        bytes = out->size;
        break;
    case TRIPOD_OUT_child:
        bytes = result > 0 ? out->size : 0;
        break;
    case TRIPOD_OUT_array:
        /* Linux takes an unsigned int here. */
        bytes = (uint64_t)(uint32_t)p->args[out->count] * out->size;
        break;
    case TRIPOD_OUT_fdset:
        bytes = (int32_t)p->args[0] > 0 ? ((uint64_t)(uint32_t)p->args[0] + 63) / 64 * 8 : 0;
        break;
    case TRIPOD_OUT_iov:
        bytes = result > 0 ? result : 0;
        break;
    case TRIPOD_OUT_sized:
        bytes = p->capacity + 8 + sizeof(struct tripod_segment);
        break;
    case TRIPOD_OUT_message:
        bytes = (result > 0 ? result : 0) + sizeof(struct tripod_msghdr) + 128 + 4096 +
                3 * (sizeof(struct tripod_segment) + 8);
        break;
    default:
        bytes = 0;
        break;
    }
    return bytes;
}

uint32_t tripod_record_bound(const struct tripod_call *call, const struct tripod_pending *p, int64_t result)
{
    uint64_t bytes = sizeof(struct tripod_segment) + sizeof(struct tripod_socket);
    unsigned int i;

    for ( i = 0; result >= 0 && i < ARRAY_SIZE(call->outs) && call->outs[i].kind; i++ )
    {
        uint64_t part = out_bytes(&call->outs[i], p, result);

        /* What a backup refuses in one segment, we must not log in one. */
        if ( (call->outs[i].kind == TRIPOD_OUT_message ? (uint64_t)result : part) > TRIPOD_PAYLOAD_MAX )
            return 0;
        bytes += part + sizeof(struct tripod_segment) + 8;
    }
    if ( bytes > TRIPOD_PAYLOAD_MAX + 8192 )
        return 0;
    return sizeof(struct tripod_record) + tripod_align8(bytes);
}

enum tripod_verdict tripod_marshal(struct tripod_domain *t, const struct tripod_call *call,
                                   const struct tripod_pending *p, int64_t result, struct tripod_record *record)
{
    enum tripod_verdict verdict = TRIPOD_GO;
    unsigned int i;

    if ( result < 0 )
        return TRIPOD_GO;

    for ( i = 0; i < ARRAY_SIZE(call->outs) && call->outs[i].kind && verdict == TRIPOD_GO; i++ )
    {
        const struct tripod_out *out = &call->outs[i];
        uint64_t address = p->args[out->arg];
        uint32_t length;

        if ( !address )
            continue;
        switch ( out->kind )
        {
        case TRIPOD_OUT_iov:
            verdict = add_iov(t, record, out->arg, address, p->args[out->count], out_bytes(out, p, result));
            break;

        case TRIPOD_OUT_message:
            verdict = add_message(t, record, p, result, address);
            break;

        case TRIPOD_OUT_sized:
            verdict = tripod_from_user(t, &length, p->args[out->count], sizeof(length));
            if ( verdict == TRIPOD_GO )
                verdict = add_from_user(t, record, TRIPOD_SEG_arg, out->arg, address, min(length, p->capacity));
            if ( verdict == TRIPOD_GO )
                verdict = add_from_user(t, record, TRIPOD_SEG_arg, out->count, p->args[out->count], sizeof(length));
            break;

        default:
            length = out_bytes(out, p, result);
            if ( length )
                verdict = add_from_user(t, record, TRIPOD_SEG_arg, out->arg, address, length);
            break;
        }
    }
    return verdict;
}

/* Copies what an iovec array names into the scratch buffer, as far as it goes; the length counts all of it. */
static enum tripod_verdict gather_iov(struct tripod_domain *t, uint64_t array, uint64_t count, uint32_t *gathered,
                                      uint64_t *length)
{
    uint64_t i;

    *gathered = 0;
    *length = 0;
    for ( i = 0; i < min_t(uint64_t, count, TRIPOD_MAX_IOV); i++ )
    {
        struct user_iovec iov;
        enum tripod_verdict verdict = tripod_from_user(t, &iov, array + i * sizeof(iov), sizeof(iov));
        uint32_t part;

        if ( verdict != TRIPOD_GO )
            return verdict;
        part = min_t(uint64_t, iov.length, TRIPOD_DIGEST_MAX - *gathered);
        verdict = tripod_from_user(t, t->scratch + *gathered, iov.base, part);
        if ( verdict != TRIPOD_GO )
            return verdict;
        *gathered += part;
        *length += iov.length;
    }
    return TRIPOD_GO;
}

enum tripod_verdict tripod_digest(struct tripod_domain *t, const struct tripod_call *call, const uint64_t args[6],
                                  uint64_t *digest, uint64_t *length)
{
    enum tripod_verdict verdict = TRIPOD_GO;
    struct user_msghdr message;
    uint32_t gathered = 0;

    *digest = 0;
    *length = 0;
    switch ( call->in )
    {
    case TRIPOD_IN_buffer:
        *length = args[2];
        gathered = min_t(uint64_t, args[2], TRIPOD_DIGEST_MAX);
        verdict = tripod_from_user(t, t->scratch, args[1], gathered);
        break;

    case TRIPOD_IN_iov:
        verdict = gather_iov(t, args[1], args[2], &gathered, length);
        break;

    case TRIPOD_IN_message:
        verdict = tripod_from_user(t, &message, args[1], sizeof(message));
        if ( verdict == TRIPOD_GO )
            verdict = gather_iov(t, message.iov, message.iovlen, &gathered, length);
        break;

    case TRIPOD_IN_file:
        *length = args[3];
        return TRIPOD_GO;

    default:
        return TRIPOD_GO;
    }
    if ( verdict == TRIPOD_GO )
        *digest = xxh64(t->scratch, gathered, 0);
    return verdict;
}
