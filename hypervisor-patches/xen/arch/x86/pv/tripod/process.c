/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which processes are followed: those that hold a network socket. A process is looked at when it first makes a call
 * that could matter; its sockets are announced in the log then, so that dom0 knows every connection, and a backup
 * can check that it starts from the same ones.
 */
#include "internal.h"

/* Nothing is lost when it is looked at anew. */
static bool evictable(const struct tripod_process *p)
{
    return p->state == TRIPOD_PROCESS_ignored || (p->state == TRIPOD_PROCESS_scanning && !p->next_fd && !p->found);
}

static bool is_process_of(const struct tripod_process *p, const struct tripod_thread *thread)
{
    return p->state != TRIPOD_PROCESS_free && p->tgid == thread->tgid && p->files == thread->files;
}

/* A place for a new one: a free one, else the one that was not seen for longest. */
static struct tripod_process *make_room(struct tripod_domain *t)
{
    struct tripod_process *victim = NULL;
    unsigned int i;

    for ( i = 0; i < TRIPOD_MAX_PROCESSES; i++ )
    {
        struct tripod_process *p = &t->processes[i];

        if ( p->state == TRIPOD_PROCESS_free )
            return p;
        if ( evictable(p) && (!victim || p->used < victim->used) )
            victim = p;
    }
    return victim;
}

struct tripod_process *tripod_process_find(struct tripod_domain *t, const struct tripod_thread *thread)
{
    struct tripod_process *p = &t->processes[t->last_process];
    unsigned int i;

    for ( i = 0; !is_process_of(p, thread) && i < TRIPOD_MAX_PROCESSES; i++ )
        p = &t->processes[i];
    if ( !is_process_of(p, thread) )
    {
        p = make_room(t);
        if ( !p )
            return NULL;
        *p = (struct tripod_process){
            .files = thread->files,
            .tgid = thread->tgid,
            .state = TRIPOD_PROCESS_scanning,
        };
    }
    p->used = ++t->use_counter;
    t->last_process = p - t->processes;
    return p;
}

static enum tripod_verdict announce(struct tripod_domain *t, const struct tripod_thread *thread, int32_t fd,
                                    const struct tripod_socket *socket)
{
    struct tripod_record *record =
        tripod_record_begin(t, sizeof(*record) + sizeof(struct tripod_segment) + sizeof(*socket),
                            TRIPOD_REC_socket, thread->tid, thread->tgid, fd);

    if ( !record )
        return TRIPOD_WAIT;
    tripod_segment_add(record, TRIPOD_SEG_socket, socket, sizeof(*socket));
    tripod_record_end(t, record);
    return TRIPOD_GO;
}

/* A backup has the same descriptors, with the same ends; the connection's state may have moved on. */
static enum tripod_verdict check(struct tripod_domain *t, const struct tripod_thread *thread, int32_t fd,
                                 const struct tripod_socket *found)
{
    const struct tripod_entry entry = { .thread = *thread, .fd = fd };
    const struct tripod_segment *segment;
    const struct tripod_socket *logged;
    const struct tripod_record *head;
    bool broken;

    if ( t->mode == TRIPOD_MODE_hold || t->divergence.reason )
    {
        t->wait_reason = TRIPOD_WAIT_replay;
        t->wait_thread = false;
        return TRIPOD_WAIT;
    }
    head = tripod_replay_head(t, &broken);
    if ( broken )
    {
        tripod_diverge(t, &entry, TRIPOD_REASON_record, 0, 0);
        return TRIPOD_BROKEN;
    }
    if ( !head || head->tid != thread->tid )
    {
        t->wait_reason = TRIPOD_WAIT_replay;
        t->wait_thread = head;
        return TRIPOD_WAIT;
    }
    segment = tripod_segment_find(head, TRIPOD_SEG_socket, sizeof(*logged));
    if ( head->type != TRIPOD_REC_socket || head->fd != fd || !segment )
    {
        tripod_diverge(t, &entry, TRIPOD_REASON_descriptor, head->fd, fd);
        return TRIPOD_BROKEN;
    }
    logged = (const void *)(segment + 1);
    if ( logged->family != found->family || logged->local_port != found->local_port ||
         logged->remote_port != found->remote_port )
    {
        tripod_diverge(t, &entry, TRIPOD_REASON_descriptor, logged->remote_port, found->remote_port);
        return TRIPOD_BROKEN;
    }
    tripod_replay_advance(t, head);
    return TRIPOD_GO;
}

enum tripod_verdict tripod_process_scan(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                                        struct tripod_process *process)
{
    uint32_t limit = min_t(uint32_t, tripod_fd_limit(t, v, thread), TRIPOD_MAX_SCAN_FDS);

    for ( ; process->next_fd < limit; process->next_fd++ )
    {
        struct tripod_socket socket = {};
        enum tripod_verdict verdict;

        if ( tripod_fd_kind(t, v, thread, process->next_fd, &socket) != TRIPOD_FD_network )
            continue;
        verdict = tripod_replaying(t) ? check(t, thread, process->next_fd, &socket)
                                      : announce(t, thread, process->next_fd, &socket);
        if ( verdict != TRIPOD_GO )
            return verdict;
        process->found = true;
    }
    process->state = process->found ? TRIPOD_PROCESS_followed : TRIPOD_PROCESS_ignored;
    return TRIPOD_GO;
}
