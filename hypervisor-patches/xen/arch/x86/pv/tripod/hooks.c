/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a guest's system call enters and returns. This file finds out what the call is and whose; what to do with it
 * is said by the mode (record.c, replay.c, clock.c), and carried out here.
 */
#include "internal.h"

/* Linux' struct iocb, and how many of them are looked at in one call. */
#define IOCB_FILDES 20
#define MAX_IOCBS 1024

static bool inet_family(uint64_t family)
{
    return (int32_t)family == TRIPOD_AF_INET || (int32_t)family == TRIPOD_AF_INET6;
}

static uint8_t effective_class(const struct tripod_entry *entry, enum tripod_fd_kind kind)
{
    switch ( entry->call->scope )
    {
    case TRIPOD_SCOPE_always:
        return entry->call->call_class;
    case TRIPOD_SCOPE_network:
        return kind == TRIPOD_FD_network ? entry->call->call_class : TRIPOD_CLASS_native;
    case TRIPOD_SCOPE_value:
        return kind == TRIPOD_FD_value ? entry->call->call_class : TRIPOD_CLASS_native;
    case TRIPOD_SCOPE_network_value:
        return kind == TRIPOD_FD_network ? entry->call->call_class
             : kind == TRIPOD_FD_value ? TRIPOD_CLASS_value : TRIPOD_CLASS_native;
    case TRIPOD_SCOPE_inet_family:
        return inet_family(entry->args[0]) ? entry->call->call_class : TRIPOD_CLASS_native;
    }
    return TRIPOD_CLASS_native;
}

static enum tripod_verdict unsupported(struct tripod_domain *t, const struct tripod_entry *entry)
{
    tripod_guest_broken(t, TRIPOD_GUEST_unsupported, entry->thread.tid, entry->nr);
    return TRIPOD_BROKEN;
}

/* io_submit: args[1] pointers at args[2], each to a struct iocb that names its descriptor. */
static enum tripod_verdict check_iocbs(struct tripod_domain *t, struct vcpu *v, const struct tripod_entry *entry)
{
    int64_t i;

    for ( i = 0; i < (int64_t)entry->args[1]; i++ )
    {
        uint64_t iocb;
        uint32_t fd;
        enum tripod_verdict verdict;

        if ( i == MAX_IOCBS )
            return unsupported(t, entry);
        verdict = tripod_from_user(t, &iocb, entry->args[2] + i * sizeof(iocb), sizeof(iocb));
        if ( verdict == TRIPOD_GO )
            verdict = tripod_from_user(t, &fd, iocb + IOCB_FILDES, sizeof(fd));
        if ( verdict != TRIPOD_GO )
            return verdict;
        if ( tripod_fd_kind(t, v, &entry->thread, fd, NULL) == TRIPOD_FD_network )
            return unsupported(t, entry);
    }
    return TRIPOD_GO;
}

/* What a followed process does and this version cannot log. */
static enum tripod_verdict check_supported(struct tripod_domain *t, struct vcpu *v, struct tripod_entry *entry,
                                           bool network, bool second_network)
{
    switch ( entry->call->scope )
    {
    case TRIPOD_SCOPE_unsupported:
        if ( network || second_network )
            return unsupported(t, entry);
        break;
    case TRIPOD_SCOPE_forbidden:
        return unsupported(t, entry);
    case TRIPOD_SCOPE_aio:
        return check_iocbs(t, v, entry);
    default:
        if ( second_network )
            return unsupported(t, entry);
        break;
    }
    return TRIPOD_GO;
}

/* Finds the process and the call's class; a class of native means: not our business. */
static enum tripod_verdict identify(struct tripod_domain *t, struct vcpu *v, struct tripod_entry *entry)
{
    enum tripod_fd_kind kind = TRIPOD_FD_other, second = TRIPOD_FD_other;
    enum tripod_verdict verdict = TRIPOD_GO;

    entry->call_class = TRIPOD_CLASS_native;
    entry->process = tripod_process_find(t, &entry->thread);
    if ( !entry->process )
    {
        tripod_guest_broken(t, TRIPOD_GUEST_too_many, entry->thread.tid, entry->nr);
        return TRIPOD_BROKEN;
    }
    if ( entry->process->state == TRIPOD_PROCESS_scanning )
        verdict = tripod_process_scan(t, v, &entry->thread, entry->process);
    if ( verdict != TRIPOD_GO )
        return verdict;

    entry->fd = -1;
    if ( entry->call->fd_arg >= 0 )
    {
        kind = tripod_fd_kind(t, v, &entry->thread, entry->args[entry->call->fd_arg], NULL);
        entry->fd = entry->args[entry->call->fd_arg];
    }
    if ( entry->call->second_fd )
        second = tripod_fd_kind(t, v, &entry->thread, entry->args[entry->call->second_fd], NULL);

    if ( entry->process->state == TRIPOD_PROCESS_ignored &&
         (kind == TRIPOD_FD_network || second == TRIPOD_FD_network) )
    {
        /* Handed over by another process since we looked. */
        tripod_process_uses(entry->process,
                            kind == TRIPOD_FD_network ? entry->fd : entry->args[entry->call->second_fd]);
        verdict = tripod_process_scan(t, v, &entry->thread, entry->process);
        if ( verdict != TRIPOD_GO )
            return verdict;
    }
    entry->call_class = effective_class(entry, kind);
    if ( entry->process->state == TRIPOD_PROCESS_ignored )
    {
        if ( entry->call->scope == TRIPOD_SCOPE_inet_family && entry->call_class != TRIPOD_CLASS_native )
            entry->process->state = TRIPOD_PROCESS_followed;
        else
            entry->call_class = TRIPOD_CLASS_native;
        return TRIPOD_GO;
    }
    return check_supported(t, v, entry, kind == TRIPOD_FD_network, second == TRIPOD_FD_network);
}

/* A call whose result could not be logged at its return comes by again. */
static enum tripod_verdict finish_captured(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                                           struct tripod_pending *p)
{
    enum tripod_verdict verdict = tripod_recording(t) ? tripod_record_emit(t, v, p, p->result) : TRIPOD_GO;

    if ( verdict == TRIPOD_WAIT || verdict == TRIPOD_FAULT )
        return verdict;
    regs->rax = p->result;
    tripod_pending_drop(t, p);
    return TRIPOD_GO;
}

/* Mode live, and calls that were under way when a mode ended. */
static bool enter_passive(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                          struct tripod_entry *entry)
{
    struct tripod_process *process;
    struct tripod_pending *p;

    if ( t->mode != TRIPOD_MODE_live || !entry->call || !tripod_clock_wanted(t, entry->nr) ||
         !tripod_thread_read(t, v, &entry->thread) )
        return false;
    process = tripod_process_find(t, &entry->thread);
    if ( process && process->state == TRIPOD_PROCESS_followed )
    {
        p = tripod_pending_add(t, &entry->thread, regs, entry->nr);
        if ( p )
            p->state = TRIPOD_PENDING_clock;
    }
    return false;
}

static bool carry_out(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                      const struct tripod_entry *entry, enum tripod_verdict verdict, bool answered)
{
    switch ( verdict )
    {
    case TRIPOD_GO:
        tripod_progress(t);
        return answered;

    case TRIPOD_AGAIN:
        regs->rip -= 2;
        return true;

    case TRIPOD_FAULT:
        regs->rip -= 2;
        pv_inject_page_fault(PFEC_user_mode | (t->fault_write ? PFEC_write_access : 0), t->fault_address);
        return true;

    case TRIPOD_MISFIT: /* is a divergence by now */
    case TRIPOD_BROKEN:
        if ( !tripod_replaying(t) )
            return false;
        t->wait_reason = TRIPOD_WAIT_replay;
        t->wait_thread = false;
        break;

    case TRIPOD_WAIT:
        break;
    }
    return tripod_wait(t, v, regs, entry);
}

static bool enter(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs)
{
    struct tripod_entry entry = {
        .nr = (uint32_t)regs->rax,
        .args = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 },
        .fd = -1,
    };
    struct tripod_pending *p = tripod_pending_find(t, tripod_kernel_sp(v), regs->rsp);
    enum tripod_verdict verdict;
    bool answered = false;

    entry.call = tripod_call(entry.nr);
    if ( p )
    {
        bool same = p->rip == regs->rip;

        if ( same && p->state == TRIPOD_PENDING_restart && entry.nr == TRIPOD_NR_restart_syscall )
        {
            p->state = TRIPOD_PENDING_native;
            return false;
        }
        /* Its own thread's: the kernel stack of one that was killed may be another's by now. */
        if ( same && p->state == TRIPOD_PENDING_captured && entry.nr == p->nr &&
             tripod_thread_read(t, v, &entry.thread) && entry.thread.tid == p->tid )
        {
            verdict = finish_captured(t, v, regs, p);
            /* It waits as what it is, not as a second pending call. */
            if ( verdict == TRIPOD_WAIT )
            {
                tripod_note_wait(t);
                tripod_notify(t);
                tripod_sleep(t, v);
                regs->rip -= 2;
                return true;
            }
            return carry_out(t, v, regs, &entry, verdict, true);
        }
        tripod_pending_drop(t, p); /* its thread went elsewhere: longjmp, exec, exit */
    }

    if ( tripod_may_expose(t, v) )
        tripod_look_exposed(t, v);
    if ( !entry.call )
        return false;
    if ( !tripod_recording(t) && !tripod_replaying(t) )
        return enter_passive(t, v, regs, &entry);

    if ( entry.call->scope == TRIPOD_SCOPE_exit )
    {
        tripod_pending_drop_stack(t, tripod_kernel_sp(v));
        if ( tripod_thread_read(t, v, &entry.thread) )
            tripod_process_exits(t, &entry.thread, entry.nr == TRIPOD_NR_exit_group);
        return false;
    }
    t->calls++;
    if ( entry.call->scope == TRIPOD_SCOPE_everybody )
    {
        regs->rax = TRIPOD_ENOSYS;
        return carry_out(t, v, regs, &entry, TRIPOD_GO, true);
    }
    if ( !tripod_thread_read(t, v, &entry.thread) )
        return false;
    verdict = identify(t, v, &entry);
    if ( verdict == TRIPOD_GO )
    {
        if ( entry.call_class == TRIPOD_CLASS_native )
            return false;
        verdict = tripod_replaying(t) ? tripod_replay_entry(t, v, regs, &entry, &answered)
                                      : tripod_record_entry(t, v, regs, &entry, &answered);
    }
    return carry_out(t, v, regs, &entry, verdict, answered);
}

/*
 * The calls of the 32-bit and x32 ABIs are not logged in this version: a process that holds network sockets and makes one
 * cannot be protected. What it holds is looked at each time, since such a process gets its sockets unseen.
 */
static bool enter_compat(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs, uint32_t abi)
{
    uint32_t nr = (uint32_t)regs->rax & ~abi, fd = 0;
    struct tripod_thread thread;
    struct tripod_process *process;
    struct tripod_pending *p;
    bool found = false, end = false;

    if ( !tripod_recording(t) && !tripod_replaying(t) )
        return false;
    /* Not all of these entries can be answered here: the guest kernel shall refuse it. */
    if ( nr == TRIPOD_NR_io_uring_setup )
        regs->rax = abi | (TRIPOD_NR_most - 1);

    spin_lock(&t->lock);
    p = tripod_pending_find(t, tripod_kernel_sp(v), regs->rsp);
    if ( p )
        tripod_pending_drop(t, p); /* its thread went elsewhere */
    if ( tripod_may_expose(t, v) )
        tripod_look_exposed(t, v);
    if ( tripod_thread_read(t, v, &thread) )
    {
        process = tripod_process_known(t, &thread);
        found = process && process->state == TRIPOD_PROCESS_followed;
        while ( !found && !end )
        {
            found = tripod_process_has_socket(t, v, &thread, &fd, &end);
            spin_unlock(&t->lock); /* not for as long as it may take */
            spin_lock(&t->lock);
        }
        if ( found )
            tripod_guest_broken(t, TRIPOD_GUEST_compat_call, thread.tid, nr);
    }
    spin_unlock(&t->lock);
    return false;
}

bool tripod_syscall_entry(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct tripod_domain *t = tripod_of(v->domain);
    bool handled;

    if ( unlikely(((uint32_t)regs->rax ^ TRIPOD_NR_X32) < TRIPOD_NR_most) )
        return enter_compat(t, v, regs, TRIPOD_NR_X32);

    /*
     * Most calls are native: they leave here. Nothing but this vCPU's hooks changes what is pending, so it can be looked
     * at without the lock.
     */
    if ( (t->mode == TRIPOD_MODE_off || !tripod_call((uint32_t)regs->rax)) &&
         !tripod_pending_any(t, tripod_kernel_sp(v)) && !tripod_may_expose(t, v) )
        return false;

    spin_lock(&t->lock);
    handled = enter(t, v, regs);
    spin_unlock(&t->lock);
    return handled;
}

bool tripod_syscall_entry32(struct cpu_user_regs *regs)
{
    return enter_compat(tripod_of(current->domain), current, regs, 0);
}

static void restore_arguments(struct cpu_user_regs *regs, const struct tripod_pending *p)
{
    regs->rdi = p->args[0];
    regs->rsi = p->args[1];
    regs->rdx = p->args[2];
    regs->r10 = p->args[3];
    regs->r8 = p->args[4];
    regs->r9 = p->args[5];
}

static unsigned long leave(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs, unsigned long rax)
{
    struct tripod_pending *p = tripod_pending_find(t, tripod_kernel_sp(v), regs->rsp);
    struct tripod_thread thread;
    enum tripod_verdict verdict;

    /* No call of ours, or a signal handler is called first: it comes back here by sigreturn. */
    if ( !p || (regs->rip != p->rip && regs->rip != p->rip - 2) )
        return rax;
    /* That of a thread which died in it, and whose stack this one has. */
    if ( tripod_current_task(t, v) != p->task && tripod_thread_read(t, v, &thread) && thread.tid != p->tid )
    {
        tripod_pending_drop(t, p);
        return rax;
    }

    restore_arguments(regs, p);
    if ( regs->rip != p->rip )
    {
        /* An event came between two tries, or a page was brought in for the next one. */
        if ( (p->state == TRIPOD_PENDING_captured && rax == p->nr) ||
             (p->state == TRIPOD_PENDING_restart && rax == TRIPOD_NR_restart_syscall) )
            return rax;
        /* Interrupted; the kernel makes the thread call again. */
        if ( p->state == TRIPOD_PENDING_native && rax == TRIPOD_NR_restart_syscall )
            p->state = TRIPOD_PENDING_restart;
        else
        {
            if ( p->state == TRIPOD_PENDING_mirrored || p->state == TRIPOD_PENDING_yielded )
                rax = p->nr;
            tripod_pending_drop(t, p);
        }
        return rax;
    }

    switch ( p->state )
    {
    case TRIPOD_PENDING_yielded:
        regs->rip -= 2;
        rax = p->nr;
        break;

    case TRIPOD_PENDING_native:
        if ( !tripod_recording(t) )
            break;
        verdict = tripod_record_emit(t, v, p, rax);
        if ( verdict == TRIPOD_WAIT || verdict == TRIPOD_FAULT )
        {
            p->state = TRIPOD_PENDING_captured;
            t->captured_count++;
            p->result = rax;
            regs->rip -= 2;
            return p->nr;
        }
        break;

    case TRIPOD_PENDING_mirrored:
        /* A signal here has nothing to do with the primary's. */
        if ( p->nr == TRIPOD_NR_wait4 && (long)rax == TRIPOD_EINTR )
        {
            regs->rip -= 2;
            rax = p->nr;
        }
        else if ( t->mode == TRIPOD_MODE_replay )
            tripod_replay_return(t, p, rax);
        break;

    case TRIPOD_PENDING_clock:
        tripod_clock_correct(t, p, rax);
        break;
    }
    tripod_pending_drop(t, p);
    return rax;
}

unsigned long tripod_syscall_return(struct cpu_user_regs *regs, unsigned long rax)
{
    struct vcpu *v = current;
    struct tripod_domain *t = tripod_of(v->domain);

    if ( !tripod_pending_any(t, tripod_kernel_sp(v)) && !t->exposed )
        return rax;

    spin_lock(&t->lock);
    rax = leave(t, v, regs, rax);
    /* What was exposed may sleep again by now: not only the next call shall find out. */
    if ( t->exposed )
        tripod_look_exposed(t, v);
    spin_unlock(&t->lock);
    return rax;
}

void tripod_vcpu_idle(struct vcpu *v)
{
    struct tripod_domain *t = tripod_of(v->domain);

    if ( !t->exposed )
        return;
    spin_lock(&t->lock);
    tripod_look_exposed(t, v);
    spin_unlock(&t->lock);
}
