/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which processes are followed: those that hold a network socket. A process is looked at when it first makes a call
 * that could matter; its sockets are announced in the log then, so that dom0 knows every connection, and a backup
 * can check that it starts from the same ones. A child announces those that it was born with, in the same way.
 */
#include "internal.h"

/* Nothing is lost when it is looked at anew, or it will not be seen again. */
static bool evictable(const struct tripod_process *p)
{
    return p->exiting || p->state == TRIPOD_PROCESS_ignored || (p->state == TRIPOD_PROCESS_scanning && !p->found);
}

static bool is_process_of(const struct tripod_process *p, const struct tripod_thread *thread)
{
    return p->state != TRIPOD_PROCESS_free && p->tgid == thread->tgid && p->files == thread->files;
}

/*
 * A followed process that is still there must not be forgotten: it would announce its sockets a second time. Its first
 * thread's task stays, as a zombie, until all threads are gone; so only of a process that has no others is that zombie
 * the end.
 */
static bool gone(const struct tripod_domain *t, struct vcpu *v, const struct tripod_process *p)
{
    return p->leader && tripod_task_look(t, v, p->leader, p->tgid) == TRIPOD_TASK_gone &&
           !(p->several && tripod_task_is(t, v, p->leader, p->tgid));
}

/* A place for a new one: a free one, else the one that was not seen for longest, else that of one that died unseen. */
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
    for ( i = 0; !victim && i < TRIPOD_MAX_PROCESSES; i++ )
        if ( gone(t, current, &t->processes[i]) )
            victim = &t->processes[i];
    return victim;
}

struct tripod_process *tripod_process_known(struct tripod_domain *t, const struct tripod_thread *thread)
{
    struct tripod_process *p = &t->processes[t->last_process];
    unsigned int i;

    for ( i = 0; !is_process_of(p, thread) && i < TRIPOD_MAX_PROCESSES; i++ )
        p = &t->processes[i];
    return is_process_of(p, thread) ? p : NULL;
}

struct tripod_process *tripod_process_find(struct tripod_domain *t, const struct tripod_thread *thread)
{
    struct tripod_process *p = tripod_process_known(t, thread);

    if ( !p )
    {
        p = make_room(t);
        if ( !p )
            return NULL;
        *p = (struct tripod_process){
            .files = thread->files,
            .tgid = thread->tgid,
            .used_fd = -1,
            .state = TRIPOD_PROCESS_scanning,
        };
    }
    p->exiting = false;
    if ( thread->tid == thread->tgid )
        p->leader = thread->task;
    else
        p->several = true;
    p->used = ++t->use_counter;
    t->last_process = p - t->processes;
    return p;
}

void tripod_process_exits(struct tripod_domain *t, const struct tripod_thread *thread, bool all)
{
    struct tripod_process *p = tripod_process_known(t, thread);

    /* Another of its threads may get to run before it ends: that takes this back. */
    if ( p && (all || (thread->tid == thread->tgid && !p->several)) )
        p->exiting = true;
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

/*
 * Is that the announced socket? A backup has the same ends as the primary, or a shadow socket in the place of one that
 * was accepted or connected since: without a peer, and bound to nothing, or to what the program bound it to.
 */
static bool stands_for(const struct tripod_socket *found, const struct tripod_socket *logged)
{
    return found->family == logged->family &&
           (found->local_port == logged->local_port || (!found->local_port && !found->remote_port)) &&
           (found->remote_port == logged->remote_port || !found->remote_port);
}

/* A backup has the same descriptors; the connection's state may have moved on. */
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
    if ( !stands_for(found, logged) )
    {
        if ( logged->remote_port != found->remote_port )
            tripod_diverge(t, &entry, TRIPOD_REASON_socket, logged->remote_port, found->remote_port);
        else
            tripod_diverge(t, &entry, TRIPOD_REASON_socket, logged->local_port, found->local_port);
        return TRIPOD_BROKEN;
    }
    tripod_replay_advance(t, head);
    return TRIPOD_GO;
}

static uint32_t scan_limit(const struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread)
{
    return min_t(uint32_t, tripod_fd_limit(t, v, thread), TRIPOD_MAX_SCAN_FDS);
}

bool tripod_process_has_socket(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                               uint32_t *fd, bool *end)
{
    uint32_t limit = scan_limit(t, v, thread), last = min_t(uint32_t, limit, *fd + TRIPOD_SCAN_CHUNK);

    for ( ; *fd < last; ++*fd )
        if ( tripod_fd_kind(t, v, thread, *fd, NULL) == TRIPOD_FD_network )
            return true;
    *end = *fd >= limit;
    return false;
}

void tripod_process_uses(struct tripod_process *process, int32_t fd)
{
    process->state = TRIPOD_PROCESS_scanning;
    process->next_fd = 0;
    process->used_fd = fd;
}

/* One descriptor, if it is a network socket. */
static enum tripod_verdict scan_fd(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                                   struct tripod_process *process, uint32_t fd)
{
    struct tripod_socket socket = {};
    enum tripod_verdict verdict;

    if ( tripod_fd_kind(t, v, thread, fd, &socket) != TRIPOD_FD_network )
        return TRIPOD_GO;
    verdict = tripod_replaying(t) ? check(t, thread, fd, &socket) : announce(t, thread, fd, &socket);
    process->found |= verdict == TRIPOD_GO;
    return verdict;
}

enum tripod_verdict tripod_process_scan(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                                        struct tripod_process *process)
{
    uint32_t limit = scan_limit(t, v, thread), last = min_t(uint32_t, limit, process->next_fd + TRIPOD_SCAN_CHUNK);
    enum tripod_verdict verdict;

    for ( ; process->next_fd < last; process->next_fd++ )
    {
        verdict = scan_fd(t, v, thread, process, process->next_fd);
        if ( verdict != TRIPOD_GO )
            return verdict;
    }
    if ( process->next_fd < limit )
        return TRIPOD_AGAIN;
    /* Beyond what is looked at, only those that it uses are known. */
    if ( process->used_fd >= TRIPOD_MAX_SCAN_FDS )
    {
        verdict = scan_fd(t, v, thread, process, process->used_fd);
        if ( verdict != TRIPOD_GO )
            return verdict;
    }
    process->found |= process->used_fd >= 0;
    process->state = process->found ? TRIPOD_PROCESS_followed : TRIPOD_PROCESS_ignored;
    return TRIPOD_GO;
}
