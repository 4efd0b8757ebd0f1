/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads of the guest kernel's own structures, by the offsets of the profile. While user code runs, the kernel is not
 * mapped, so its page tables are walked in software. Everything here is hostile: a pointer may point anywhere, a
 * page may change between two reads. The worst outcome allowed is a wrong answer about that guest.
 */
#include "internal.h"

/* Linux' constants. */
#define S_IFMT_   0170000
#define S_IFSOCK_ 0140000
#define S_IFREG_  0100000
#define S_IFCHR_  0020000
#define PROC_SUPER_MAGIC_ 0x9fa0
#define TASK_INTERRUPTIBLE_ 0x01
#define TASK_STOPPED_ 0x04
#define TASK_TRACED_  0x08
#define TASK_DEAD_    0x80
#define DEV_RANDOM  ((1u << 20) | 8)    /* kernel-internal encoding of 1:8 */
#define DEV_URANDOM ((1u << 20) | 9)

static noinline bool read_pages(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    while ( bytes )
    {
        uint32_t part = min_t(uint32_t, bytes, PAGE_SIZE - (va & ~PAGE_MASK));

        if ( !tripod_read_kernel_page(v, va, to, part) )
            return false;
        va += part;
        to += part;
        bytes -= part;
    }
    return true;
}

static always_inline bool read_kernel(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    return (va & ~PAGE_MASK) + bytes <= PAGE_SIZE ? tripod_read_kernel_page(v, va, to, bytes)
                                                  : read_pages(v, va, to, bytes);
}

#define READ(v, base, offset, to) read_kernel(v, (base) + (offset), to, sizeof(*(to)))

/* Two fields, in one go where they lie side by side. */
static bool read_pair(struct vcpu *v, uint64_t base, uint16_t first, void *to_first, uint16_t second, void *to_second,
                      uint32_t bytes)
{
    uint64_t both[2];

    if ( second != first + bytes || bytes > sizeof(both[0]) )
        return read_kernel(v, base + first, to_first, bytes) && read_kernel(v, base + second, to_second, bytes);
    if ( !read_kernel(v, base + first, both, 2 * bytes) )
        return false;
    memcpy(to_first, both, bytes);
    memcpy(to_second, (void *)both + bytes, bytes);
    return true;
}

bool tripod_thread_read(const struct tripod_domain *t, struct vcpu *v, struct tripod_thread *thread)
{
    const struct tripod_profile *o = &t->profile;

    thread->ksp = tripod_kernel_sp(v);
    return READ(v, tripod_kernel_gs(v), o->current_task, &thread->task) &&
           read_pair(v, thread->task, o->task_pid, &thread->tid, o->task_tgid, &thread->tgid, sizeof(thread->tid)) &&
           READ(v, thread->task, o->task_files, &thread->files);
}

uint64_t tripod_current_task(const struct tripod_domain *t, struct vcpu *v)
{
    uint64_t task;

    return READ(v, tripod_kernel_gs(v), t->profile.current_task, &task) ? task : 0;
}

uint32_t tripod_fd_limit(const struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread)
{
    uint64_t fdt;
    uint32_t max_fds;

    return READ(v, thread->files, t->profile.files_fdt, &fdt) && READ(v, fdt, t->profile.fdt_max_fds, &max_fds)
               ? max_fds : 0;
}

/* The struct file behind a descriptor; 0 when there is none. */
static uint64_t file_of(const struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread, int fd)
{
    const struct tripod_profile *o = &t->profile;
    uint64_t fdt, array, file;
    uint32_t max_fds;

    if ( fd < 0 ||
         !READ(v, thread->files, o->files_fdt, &fdt) ||
         !READ(v, fdt, o->fdt_max_fds, &max_fds) || fd >= max_fds ||
         !READ(v, fdt, o->fdt_fd, &array) ||
         !READ(v, array, fd * 8ULL, &file) )
        return 0;
    return file;
}

static bool read_socket(const struct tripod_domain *t, struct vcpu *v, uint64_t sk, struct tripod_socket *s)
{
    const struct tripod_profile *o = &t->profile;
    uint8_t state;
    uint16_t dport;

    if ( !READ(v, sk, o->sk_state, &state) ||
         !READ(v, sk, o->sk_type, &s->type) ||
         !READ(v, sk, o->sk_num, &s->local_port) ||
         !READ(v, sk, o->sk_dport, &dport) )
        return false;
    s->state = state;
    s->remote_port = (uint16_t)((dport >> 8) | (dport << 8));
    if ( s->family == TRIPOD_AF_INET )
        return read_kernel(v, sk + o->sk_rcv_saddr, s->local_addr, 4) &&
               read_kernel(v, sk + o->sk_daddr, s->remote_addr, 4);
    return read_kernel(v, sk + o->sk_v6_rcv_saddr, s->local_addr, 16) &&
           read_kernel(v, sk + o->sk_v6_daddr, s->remote_addr, 16);
}

static enum tripod_fd_kind socket_kind(const struct tripod_domain *t, struct vcpu *v, uint64_t file,
                                       struct tripod_socket *socket)
{
    const struct tripod_profile *o = &t->profile;
    struct tripod_socket unused = {};
    struct tripod_socket *s = socket ?: &unused;
    uint64_t sock, sk;

    if ( !READ(v, file, o->file_private, &sock) ||
         !READ(v, sock, o->socket_sk, &sk) ||
         !READ(v, sk, o->sk_family, &s->family) )
        return TRIPOD_FD_other;
    if ( s->family != TRIPOD_AF_INET && s->family != TRIPOD_AF_INET6 )
        return TRIPOD_FD_other;
    if ( socket && !read_socket(t, v, sk, socket) )
        return TRIPOD_FD_other;
    return TRIPOD_FD_network;
}

enum tripod_fd_kind tripod_fd_kind(const struct tripod_domain *t, struct vcpu *v,
                                   const struct tripod_thread *thread, int fd, struct tripod_socket *socket)
{
    const struct tripod_profile *o = &t->profile;
    uint64_t file = file_of(t, v, thread, fd), inode, sb, magic;
    uint32_t rdev;
    uint16_t mode;

    if ( !file || !READ(v, file, o->file_inode, &inode) || !READ(v, inode, o->inode_mode, &mode) )
        return TRIPOD_FD_other;

    switch ( mode & S_IFMT_ )
    {
    case S_IFSOCK_:
        return socket_kind(t, v, file, socket);
    case S_IFREG_:
        return READ(v, inode, o->inode_sb, &sb) && READ(v, sb, o->sb_magic, &magic) &&
               magic == PROC_SUPER_MAGIC_ ? TRIPOD_FD_value : TRIPOD_FD_other;
    case S_IFCHR_:
        return READ(v, inode, o->inode_rdev, &rdev) &&
               (rdev == DEV_RANDOM || rdev == DEV_URANDOM) ? TRIPOD_FD_value : TRIPOD_FD_other;
    default:
        return TRIPOD_FD_other;
    }
}

bool tripod_task_is(const struct tripod_domain *t, struct vcpu *v, uint64_t task, uint32_t tid)
{
    uint32_t found;

    return READ(v, task, t->profile.task_pid, &found) && found == tid;
}

enum tripod_task_fate tripod_task_look(const struct tripod_domain *t, struct vcpu *v, uint64_t task, uint32_t tid)
{
    uint32_t found, state;

    if ( !READ(v, task, t->profile.task_pid, &found) || !READ(v, task, t->profile.task_state, &state) )
        return TRIPOD_TASK_awake;
    if ( found != tid || (state & TASK_DEAD_) )
        return TRIPOD_TASK_gone;
    return state & (TASK_INTERRUPTIBLE_ | TASK_STOPPED_ | TASK_TRACED_) ? TRIPOD_TASK_asleep : TRIPOD_TASK_awake;
}

unsigned int tripod_runnable_threads(const struct tripod_domain *t, struct vcpu *v)
{
    unsigned int running;

    return READ(v, tripod_kernel_gs(v), t->profile.runqueues + t->profile.rq_nr_running, &running) ? running : 2;
}
