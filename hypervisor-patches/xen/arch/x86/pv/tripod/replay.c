/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Modes replay and hold: only the head of the log may be applied, by the thread that it names; every other
 * intercepted call waits. A call that is not what the head says is a divergence: nothing is applied after it.
 */
#include "internal.h"

#define SOCK_TYPE_MASK_ 0xf
#define SOCK_FLAGS_     (0x800 | 0x80000) /* SOCK_NONBLOCK | SOCK_CLOEXEC */
#define NR_accept4      288
#define WNOHANG_        1ULL

static enum tripod_verdict diverged(struct tripod_domain *t, const struct tripod_entry *entry, unsigned int reason,
                                    uint64_t expected, uint64_t found)
{
    tripod_diverge(t, entry, reason, expected, found);
    return TRIPOD_BROKEN;
}

static enum tripod_verdict wait_for_head(struct tripod_domain *t, bool other_thread)
{
    t->wait_reason = TRIPOD_WAIT_replay;
    t->wait_thread = other_thread;
    return TRIPOD_WAIT;
}

static enum tripod_verdict mirror(struct tripod_domain *t, const struct cpu_user_regs *regs,
                                  const struct tripod_entry *entry)
{
    struct tripod_pending *p = tripod_pending_add(t, &entry->thread, regs, entry->nr);

    if ( !p )
        return diverged(t, entry, TRIPOD_REASON_guest, 0, TRIPOD_GUEST_too_many);
    p->state = TRIPOD_PENDING_mirrored;
    p->call_class = entry->call_class;
    p->fd = entry->fd;
    return TRIPOD_GO;
}

static enum tripod_verdict apply(struct tripod_domain *t, const struct tripod_entry *entry,
                                 const struct tripod_record *head)
{
    enum tripod_verdict verdict = tripod_apply(t, entry->args, head);

    if ( verdict == TRIPOD_MISFIT )
        return diverged(t, entry, TRIPOD_REASON_capacity, t->delivered, t->room);
    if ( verdict == TRIPOD_BROKEN )
        return diverged(t, entry, TRIPOD_REASON_record, head->nr, entry->nr);
    return verdict;
}

/*
 * wait4 that found a child: the log has what it says of the child, but the guest kernel must forget the child as well.
 * It waits for that very child, which has nothing left to do that the log has not passed.
 */
static enum tripod_verdict reap(struct tripod_domain *t, struct cpu_user_regs *regs, const struct tripod_entry *entry,
                                const struct tripod_record *head)
{
    enum tripod_verdict verdict = apply(t, entry, head);

    if ( verdict == TRIPOD_GO )
        verdict = mirror(t, regs, entry);
    if ( verdict != TRIPOD_GO )
        return verdict;
    regs->rdi = head->result;
    regs->rsi = 0;
    regs->rdx = entry->args[2] & ~WNOHANG_;
    regs->r10 = 0;
    return TRIPOD_GO;
}

/* The guest kernel makes an unconnected socket where the primary's accepted one: the shadow socket. */
static enum tripod_verdict accept_shadow(struct tripod_domain *t, struct cpu_user_regs *regs,
                                         const struct tripod_entry *entry, const struct tripod_record *head)
{
    const struct tripod_segment *segment =
        tripod_segment_find(head, TRIPOD_SEG_socket, sizeof(struct tripod_socket));
    const struct tripod_socket *socket;
    enum tripod_verdict verdict;

    if ( !segment )
        return diverged(t, entry, TRIPOD_REASON_record, head->nr, entry->nr);
    socket = (const void *)(segment + 1);
    /* Now, while it can still fault and be tried again. */
    verdict = apply(t, entry, head);
    if ( verdict != TRIPOD_GO )
        return verdict;
    verdict = mirror(t, regs, entry);
    if ( verdict != TRIPOD_GO )
        return verdict;
    regs->rax = TRIPOD_NR_socket;
    regs->rdi = socket->family;
    regs->rsi = (socket->type & SOCK_TYPE_MASK_) | (entry->nr == NR_accept4 ? entry->args[3] & SOCK_FLAGS_ : 0);
    regs->rdx = 0;
    return TRIPOD_GO;
}

static enum tripod_verdict check_output(struct tripod_domain *t, const struct tripod_entry *entry,
                                        const struct tripod_record *head)
{
    uint64_t digest, length;
    enum tripod_verdict verdict;

    if ( head->result < 0 )
        return TRIPOD_GO;
    verdict = tripod_digest(t, entry->call, entry->args, &digest, &length);
    if ( verdict != TRIPOD_GO )
        return verdict;
    if ( length != head->length )
        return diverged(t, entry, TRIPOD_REASON_length, head->length, length);
    if ( digest != head->digest )
        return diverged(t, entry, TRIPOD_REASON_output, head->digest, digest);
    return TRIPOD_GO;
}

enum tripod_verdict tripod_replay_entry(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                                        const struct tripod_entry *entry, bool *answered)
{
    const struct tripod_record *head;
    enum tripod_verdict verdict = TRIPOD_GO;
    bool broken;

    *answered = false;
    if ( t->mode == TRIPOD_MODE_hold || t->divergence.reason )
        return wait_for_head(t, false);

    head = tripod_replay_head(t, &broken);
    if ( broken )
        return diverged(t, entry, TRIPOD_REASON_record, t->replay_seq, 0);
    if ( !head )
        return wait_for_head(t, false);
    if ( head->tid != entry->thread.tid )
        return wait_for_head(t, true);
    if ( head->type != TRIPOD_REC_call || head->nr != entry->nr )
        return diverged(t, entry, TRIPOD_REASON_syscall, head->nr, entry->nr);
    if ( head->fd != entry->fd )
        return diverged(t, entry, TRIPOD_REASON_descriptor, head->fd, entry->fd);

    switch ( entry->call_class )
    {
    case TRIPOD_CLASS_mirror:
        return mirror(t, regs, entry);

    case TRIPOD_CLASS_accept:
        if ( head->result >= 0 )
            return accept_shadow(t, regs, entry, head);
        break;

    case TRIPOD_CLASS_output:
        verdict = check_output(t, entry, head);
        if ( verdict != TRIPOD_GO )
            return verdict;
        break;

    case TRIPOD_CLASS_value:
        if ( entry->nr == TRIPOD_NR_wait4 && head->result > 0 )
            return reap(t, regs, entry, head);
        break;
    }

    verdict = apply(t, entry, head);
    if ( verdict != TRIPOD_GO )
        return verdict;
    tripod_clock_learn(t, head);
    regs->rax = head->result;
    *answered = true;
    tripod_replay_advance(t, head);
    return TRIPOD_GO;
}

void tripod_replay_return(struct tripod_domain *t, const struct tripod_pending *p, int64_t result)
{
    const struct tripod_entry entry = { .thread.tid = p->tid, .nr = p->nr, .fd = p->fd };
    bool broken;
    const struct tripod_record *head = tripod_replay_head(t, &broken);

    if ( !head || head->tid != p->tid || head->nr != p->nr )
        tripod_diverge(t, &entry, TRIPOD_REASON_record, t->replay_seq, 0);
    else if ( head->result != result )
        tripod_diverge(t, &entry, TRIPOD_REASON_result, head->result, result);
    else
        tripod_replay_advance(t, head);
}
