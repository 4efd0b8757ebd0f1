/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of this folder share. One idea a file:
 *
 *   hooks.c         where a guest's system call enters and returns; picks the mode
 *   calls.c         the table: what each Linux system call takes and gives, and its class
 *   guest_kernel.c  what the guest kernel's own structures say, all hostile
 *   guest_memory.c  how those are read: a page table walk
 *   process.c       which processes are followed
 *   pending.c       calls between their entry and their return
 *   exposed.c       inputs that other threads may see before they are logged
 *   marshal.c       user memory -> segments of a record, digests of outputs
 *   apply.c         segments of a record -> user memory
 *   ring.c          the two rings
 *   record.c        modes record and trace
 *   replay.c        modes replay and hold
 *   clock.c         mode live: clocks that do not run backwards
 *   wait.c          the one way to wait
 *   divergence.c    a replica that strayed, a guest that cannot be logged
 *   mode.c          from one mode to another
 *   control.c       domctl, shared pages, life and death
 *
 * Locking: the hooks run on the vCPU concerned, with t->lock held from the first look at shared state; control.c
 * changes state only while the domain is paused, and takes the lock against those that run none the less: dom0's
 * doorbell, its look at the status, and its mapping of the pages. Nothing here sleeps, and nothing is allocated outside
 * control.c.
 *
 * The same sources are compiled into a user-space harness (tests/hypervisor), which brings its own env.h.
 */
#ifndef TRIPOD_INTERNAL_H
#define TRIPOD_INTERNAL_H

#ifdef __XEN__
#include "env.h"
#else
#include "harness_env.h"
#endif

#define TRIPOD_MAX_PENDING   1024
#define TRIPOD_PENDING_BUCKETS 256
#define TRIPOD_MAX_PROCESSES 64
#define TRIPOD_MAX_SCAN_FDS  4096   /* descriptors looked at when a process is first seen */
#define TRIPOD_SCAN_CHUNK    128    /* of these, so many at a time */
#define TRIPOD_MAX_IOV       1024   /* Linux' UIO_MAXIOV */
#define TRIPOD_MSG_NAMELEN   8      /* offset in Linux' struct user_msghdr */
#define TRIPOD_WALKS         64     /* remembered page table walks */
#define TRIPOD_VIEW_SETS     64     /* remembered pages of the guest kernel */
#define TRIPOD_VIEW_WAYS     4
#define TRIPOD_CLOCKS        8      /* Linux clock ids 0..7 */

#define TRIPOD_ENOSYS  (-38L)       /* Linux' numbers: the guest sees them */
#define TRIPOD_EINTR   (-4L)

/* Linux' AF_INET, AF_INET6, SOCK_STREAM: what makes a descriptor a network descriptor. */
#define TRIPOD_AF_INET  2
#define TRIPOD_AF_INET6 10

#define TRIPOD_NR_X32             0x40000000u /* bit of the numbers of the x32 ABI */
#define TRIPOD_NR_io_uring_setup  425 /* by all ABIs */
#define TRIPOD_NR_most            1024 /* no ABI has that many */
#define TRIPOD_NR_restart_syscall 219
#define TRIPOD_NR_sched_yield     24
#define TRIPOD_NR_socket          41
#define TRIPOD_NR_wait4           61
#define TRIPOD_NR_exit_group      231

/* ------------------------------------------------------------------ calls.c */

enum tripod_scope {
    TRIPOD_SCOPE_always,        /* every call of a followed process */
    TRIPOD_SCOPE_network,       /* only on a network socket */
    TRIPOD_SCOPE_value,         /* only on a descriptor whose bytes differ between hosts (procfs, urandom) */
    TRIPOD_SCOPE_network_value, /* either: input on the one, value on the other */
    TRIPOD_SCOPE_inet_family,   /* only when argument 0 is an inet family */
    TRIPOD_SCOPE_unsupported,   /* on a network socket: cannot be logged */
    TRIPOD_SCOPE_forbidden,     /* a followed process may not make it: cannot be logged */
    TRIPOD_SCOPE_aio,           /* io_submit: not when it names a network socket */
    TRIPOD_SCOPE_everybody,     /* every call of every process */
    TRIPOD_SCOPE_exit,          /* ends a thread or its process: not logged, but what is known of it is forgotten */
};

enum tripod_out_kind {
    TRIPOD_OUT_none,            /* the last of a row */
    TRIPOD_OUT_result,          /* at arg: result * size bytes, at most args[count] of them */
    TRIPOD_OUT_fixed,           /* at arg: size bytes */
    TRIPOD_OUT_child,           /* at arg: size bytes, when the result names a child */
    TRIPOD_OUT_array,           /* at arg: args[count] * size bytes */
    TRIPOD_OUT_iov,             /* across the iovec array at arg, args[count] long: result bytes */
    TRIPOD_OUT_sized,           /* at arg, its capacity and then length in the u32 at args[count] (sockaddr, sockopt) */
    TRIPOD_OUT_message,         /* at arg: struct msghdr */
    TRIPOD_OUT_fdset,           /* at arg: a select() set for args[count] descriptors */
};

enum tripod_in_kind {
    TRIPOD_IN_none,
    TRIPOD_IN_buffer,           /* args[1], args[2] */
    TRIPOD_IN_iov,              /* args[1], args[2] */
    TRIPOD_IN_message,          /* args[1] */
    TRIPOD_IN_file,             /* sendfile: args[3] bytes, not seen by us */
};

struct tripod_out {
    uint8_t kind, arg, count;
    uint16_t size;
};

/* One row of the table. `clamp` is the argument that bounds the result in units of `clamp_unit` bytes, 0: none. */
struct tripod_call {
    uint8_t call_class;
    uint8_t scope;
    int8_t fd_arg;
    uint8_t in;
    uint8_t clamp;
    uint8_t clamp_unit;
    uint8_t second_fd;          /* argument that is a descriptor too, which may be no network socket; 0: none */
    struct tripod_out outs[4];
};

/* NULL: native, not our business. */
const struct tripod_call *tripod_call(unsigned int nr);

/* ------------------------------------------------------------------ guest_kernel.c */

/* guest_memory.c. One page at the most: `bytes` must not cross its end. */
struct tripod_domain *tripod_of(const struct domain *d);
bool tripod_read_kernel_page(struct vcpu *v, uint64_t va, void *to, uint32_t bytes);
uint64_t tripod_kernel_sp(const struct vcpu *v);
uint64_t tripod_kernel_gs(const struct vcpu *v);

/* The thread that runs on a vCPU, as its kernel describes it. */
struct tripod_thread {
    uint64_t ksp;               /* top of its kernel stack: unique and stable */
    uint64_t files;             /* struct files_struct * */
    uint32_t tid, tgid;
    uint64_t task;              /* struct task_struct * */
};

enum tripod_task_fate {
    TRIPOD_TASK_gone,           /* it died, or another thread is in its place */
    TRIPOD_TASK_asleep,         /* in the kernel, until what it waits for comes, or stopped */
    TRIPOD_TASK_awake,          /* also: cannot be told */
};

enum tripod_fd_kind {
    TRIPOD_FD_other,            /* also: no such descriptor, or unreadable */
    TRIPOD_FD_network,
    TRIPOD_FD_value,
};

/* Descriptors that the process' table has room for. */
uint32_t tripod_fd_limit(const struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread);
/* Each returns false when the guest kernel's memory could not be read as the profile says. */
bool tripod_thread_read(const struct tripod_domain *t, struct vcpu *v, struct tripod_thread *thread);
enum tripod_fd_kind tripod_fd_kind(const struct tripod_domain *t, struct vcpu *v,
                                   const struct tripod_thread *thread, int fd,
                                   struct tripod_socket *socket /* may be NULL */);
/* Runnable threads on this vCPU, this one included; 2 when it cannot be told. */
unsigned int tripod_runnable_threads(const struct tripod_domain *t, struct vcpu *v);
/* The thread that runs now; 0 when it cannot be told. */
uint64_t tripod_current_task(const struct tripod_domain *t, struct vcpu *v);
/* What became of a thread that was seen at that address. */
bool tripod_task_is(const struct tripod_domain *t, struct vcpu *v, uint64_t task, uint32_t tid);
enum tripod_task_fate tripod_task_look(const struct tripod_domain *t, struct vcpu *v, uint64_t task, uint32_t tid);

/* ------------------------------------------------------------------ pending.c */

enum tripod_pending_state {
    TRIPOD_PENDING_native,      /* the guest kernel is at it; its result will be logged */
    TRIPOD_PENDING_restart,     /* interrupted; will be resumed by restart_syscall */
    TRIPOD_PENDING_captured,    /* result known, not logged yet: no room, or a page is missing */
    TRIPOD_PENDING_yielded,     /* runs as sched_yield, will be tried again */
    TRIPOD_PENDING_mirrored,    /* replay: runs natively too, to be compared with the log's head */
    TRIPOD_PENDING_clock,       /* live: a clock reading to be corrected */
    TRIPOD_PENDING_passing,     /* began under another mode: comes out as the guest kernel says */
};

struct tripod_pending {
    uint64_t ksp, rsp, rip;     /* whose, and where it returns to */
    uint64_t task;
    uint64_t args[6];
    int64_t result;
    uint32_t tid, tgid;
    int32_t fd;
    uint32_t capacity;          /* of a TRIPOD_OUT_sized buffer, or of msg_name */
    uint16_t nr;
    uint16_t next;              /* of the same bucket: index + 1, 0: none */
    uint8_t state;
    uint8_t call_class;
    bool exposed;               /* counted in t->exposed */
};

/* Kernel stacks are 16 KiB apart at least. */
static inline unsigned int tripod_pending_bucket(uint64_t ksp)
{
    return ((ksp >> 14) ^ (ksp >> 22)) % TRIPOD_PENDING_BUCKETS;
}

struct tripod_pending *tripod_pending_find(struct tripod_domain *t, uint64_t ksp, uint64_t rsp);
/* Has that stack's thread any? */
bool tripod_pending_any(const struct tripod_domain *t, uint64_t ksp);
/* Drops all of that stack's thread, which ends. */
void tripod_pending_drop_stack(struct tripod_domain *t, uint64_t ksp);
void tripod_pending_drop_gone(struct tripod_domain *t, struct vcpu *v);
/* NULL when the table is full. */
struct tripod_pending *tripod_pending_add(struct tripod_domain *t, const struct tripod_thread *thread,
                                          const struct cpu_user_regs *regs, unsigned int nr);
/* Its record, if it has one, is published by then. Another entry may move to its place. */
void tripod_pending_drop(struct tripod_domain *t, struct tripod_pending *p);

/* ------------------------------------------------------------------ exposed.c */

/* Does it need a look, which calls are exposed? Cheap. */
bool tripod_may_expose(const struct tripod_domain *t, struct vcpu *v);
void tripod_look_exposed(struct tripod_domain *t, struct vcpu *v);
void tripod_set_exposed(struct tripod_domain *t, struct tripod_pending *p, bool exposed);
void tripod_publish_exposed(struct tripod_domain *t);

/* ------------------------------------------------------------------ process.c */

enum tripod_process_state {
    TRIPOD_PROCESS_free,
    TRIPOD_PROCESS_scanning,
    TRIPOD_PROCESS_ignored,     /* has no network socket */
    TRIPOD_PROCESS_followed,
};

struct tripod_process {
    uint64_t files;
    uint64_t used;              /* for eviction */
    uint32_t tgid;
    uint32_t next_fd;           /* scanning: where to go on */
    int32_t used_fd;            /* scanning: a network socket that it is known to have; -1: none */
    uint64_t leader;            /* struct task_struct * of its first thread, 0: not seen yet */
    uint8_t state;
    bool found;                 /* scanning: has a network socket */
    bool several;               /* another thread than the first was seen */
    bool exiting;               /* nothing was heard of it since it began to end */
};

/* How an attempt to handle a call ended. */
enum tripod_verdict {
    TRIPOD_GO,                  /* done, or nothing to do */
    TRIPOD_AGAIN,               /* try again at once: there is more to do than fits in one go */
    TRIPOD_WAIT,                /* try again later: t->wait_reason says what for */
    TRIPOD_FAULT,               /* a user page is missing: t->fault_address, t->fault_write */
    TRIPOD_BROKEN,              /* t->divergence says why */
    TRIPOD_MISFIT,              /* applying: the log delivers more (t->delivered) than there is room for (t->room) */
};

/* The process of a thread, new ones in state scanning. NULL: no room, all followed. */
struct tripod_process *tripod_process_find(struct tripod_domain *t, const struct tripod_thread *thread);
/* The same, without making room for a new one. */
struct tripod_process *tripod_process_known(struct tripod_domain *t, const struct tripod_thread *thread);
/* A thread of it ends; `all`: with all others. */
void tripod_process_exits(struct tripod_domain *t, const struct tripod_thread *thread, bool all);
/* It turned out to have that network socket, though none was found when it was looked at: it is looked at anew. */
void tripod_process_uses(struct tripod_process *process, int32_t fd);
/* Is a network socket among the TRIPOD_SCAN_CHUNK descriptors from *fd on? Goes on with *fd; *end: that was the last. */
bool tripod_process_has_socket(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                               uint32_t *fd, bool *end);
/* Looks at a process' descriptors and announces (record) or checks (replay) its network sockets. Takes tries. */
enum tripod_verdict tripod_process_scan(struct tripod_domain *t, struct vcpu *v, const struct tripod_thread *thread,
                                        struct tripod_process *process);

/* ------------------------------------------------------------------ ring.c */

/* Room for `bytes` (a multiple of 8) in one piece, or NULL. Nothing is visible until tripod_ring_publish. */
struct tripod_record *tripod_ring_reserve(struct tripod_domain *t, uint32_t bytes);
void tripod_ring_publish(struct tripod_domain *t, struct tripod_record *record);
bool tripod_ring_has_room(const struct tripod_domain *t, uint32_t bytes);

/* The next record to apply, validated; NULL when there is none. Malformed: NULL and *broken set. */
const struct tripod_record *tripod_replay_head(struct tripod_domain *t, bool *broken);
void tripod_replay_advance(struct tripod_domain *t, const struct tripod_record *head);

static inline uint32_t tripod_align8(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

/* ------------------------------------------------------------------ marshal.c, apply.c */

/* Largest record that this call with this result can make. 0: more than a record may hold. */
uint32_t tripod_record_bound(const struct tripod_call *call, const struct tripod_pending *p, int64_t result);
enum tripod_verdict tripod_marshal(struct tripod_domain *t, const struct tripod_call *call,
                                   const struct tripod_pending *p, int64_t result, struct tripod_record *record);
void tripod_segment_add(struct tripod_record *record, unsigned int kind, const void *bytes, uint32_t length);
/* Digest and length of what an output asks to send. */
enum tripod_verdict tripod_digest(struct tripod_domain *t, const struct tripod_call *call, const uint64_t args[6],
                                  uint64_t *digest, uint64_t *length);
enum tripod_verdict tripod_apply(struct tripod_domain *t, const uint64_t args[6], const struct tripod_record *record);
const struct tripod_segment *tripod_segment_find(const struct tripod_record *record, unsigned int kind,
                                                 uint32_t length);

/* User memory. On a miss: TRIPOD_FAULT with the address noted. */
enum tripod_verdict tripod_from_user(struct tripod_domain *t, void *to, uint64_t from, uint32_t bytes);
enum tripod_verdict tripod_to_user(struct tripod_domain *t, uint64_t to, const void *from, uint32_t bytes);

/* ------------------------------------------------------------------ one domain's state */

/* Which L1 table maps a 2 MiB region of the guest kernel's address space. */
struct tripod_walk {
    uint64_t region, table;
};

/* Where a page of the guest kernel was found. Free: page number 0, which is none of a kernel's. */
struct tripod_view {
    uint64_t page_number;
    const uint64_t *entry_at;   /* of the L1 table */
    uint64_t entry;             /* what it was then */
    const struct page_info *page;
    const void *content;
};

static inline unsigned int tripod_view_set(uint64_t va)
{
    uint64_t page_number = va / PAGE_SIZE;

    return (page_number ^ (page_number >> 6)) % TRIPOD_VIEW_SETS;
}

struct tripod_domain {
    struct domain *d;
    struct rcu_head rcu;
    spinlock_t lock;
    uint32_t mode;              /* enum tripod_mode */
    bool have_profile;
    bool notified;              /* dom0 was told of a wait since its last kick */
    struct tripod_profile profile;
    struct tripod_divergence divergence;

    /* The shared pages; NULL while disabled. Positions that Xen owns are kept here and only copied there. */
    struct tripod_control *control;
    uint8_t *record, *replay;
    uint8_t *scratch;           /* TRIPOD_DIGEST_MAX bytes, for gathering an output */
    uint32_t ring_bytes;
    uint32_t ring_pages;
    struct page_info **pages;   /* 1 control, then record, then replay */
    int evtchn;                 /* < 0: none */
    uint64_t record_prod, record_seq;
    uint64_t replay_cons, replay_seq;
    uint32_t reserved_pad;      /* between tripod_ring_reserve and _publish: bytes of the pad before the record */
    uint64_t notified_seq;

    /* Said by the attempt at hand, see enum tripod_verdict. */
    uint32_t wait_reason;       /* TRIPOD_WAIT_* */
    uint32_t wait_bytes;        /* TRIPOD_WAIT_space: how many */
    bool wait_thread;           /* the head of the log is another thread's */
    bool fault_write;
    uint64_t fault_address;
    uint64_t delivered, room;   /* TRIPOD_MISFIT: bytes */

    uint64_t calls;
    uint32_t retries;           /* since a call last went through */
    uint64_t use_counter;

    /* mode live: what to add to each clock, once known */
    struct {
        bool known, decided;
        int64_t last_ns, offset_ns;
    } clocks[TRIPOD_CLOCKS];

    struct tripod_walk walks[TRIPOD_WALKS];
    uint8_t next_view[TRIPOD_VIEW_SETS];
    struct tripod_view views[TRIPOD_VIEW_SETS][TRIPOD_VIEW_WAYS];
    struct timer recheck;       /* ends a sleep on an empty replay ring */
    uint32_t last_process;      /* the one found last, where the next search begins */
    uint32_t pending_count;
    uint32_t captured_count;    /* of these, in that state */
    uint32_t exposed;           /* of these, as last published */
    uint16_t pending_buckets[TRIPOD_PENDING_BUCKETS]; /* index + 1 of the first, 0: none */
    struct tripod_pending pending[TRIPOD_MAX_PENDING];
    struct tripod_process processes[TRIPOD_MAX_PROCESSES];
};

/* ------------------------------------------------------------------ record.c, replay.c, clock.c, wait.c, divergence.c */

/* mode.c. The domain is paused and enabled. -EINVAL: no way there from here; -ENODATA: the profile is missing. */
long tripod_set_mode(struct tripod_domain *t, uint32_t mode, uint64_t next_seq);

/* A call that entered, with all that is known of it. */
struct tripod_entry {
    const struct tripod_call *call;
    struct tripod_thread thread;
    struct tripod_process *process;
    uint64_t args[6];
    unsigned int nr;
    uint8_t call_class;         /* after looking at the descriptor */
    int32_t fd;                 /* -1: none */
};

/* Entry: TRIPOD_GO with *answered: regs->rax is the result; else the guest kernel shall run the (rewritten) call. */
enum tripod_verdict tripod_record_entry(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                                        const struct tripod_entry *entry, bool *answered);
enum tripod_verdict tripod_replay_entry(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                                        const struct tripod_entry *entry, bool *answered);
/* An empty record of at most `bound` bytes, or NULL with the wait noted. */
struct tripod_record *tripod_record_begin(struct tripod_domain *t, uint32_t bound, unsigned int type, uint32_t tid,
                                          uint32_t tgid, int32_t fd);
void tripod_record_end(struct tripod_domain *t, struct tripod_record *record);
/* Logs a finished call. */
enum tripod_verdict tripod_record_emit(struct tripod_domain *t, struct vcpu *v, const struct tripod_pending *p,
                                       int64_t result);
/* Return of a mirrored call. */
void tripod_replay_return(struct tripod_domain *t, const struct tripod_pending *p, int64_t result);

void tripod_clock_learn(struct tripod_domain *t, const struct tripod_record *record);
bool tripod_clock_wanted(const struct tripod_domain *t, unsigned int nr);
void tripod_clock_correct(struct tripod_domain *t, const struct tripod_pending *p, int64_t result);

/*
 * Makes the calling thread try its call again later. Returns true when the thread is back at its syscall
 * instruction with its vCPU blocked, false when regs now say sched_yield.
 */
bool tripod_wait(struct tripod_domain *t, struct vcpu *v, struct cpu_user_regs *regs,
                 const struct tripod_entry *entry);
void tripod_note_wait(struct tripod_domain *t);         /* tells dom0 t->wait_reason */
void tripod_sleep(struct tripod_domain *t, struct vcpu *v); /* unless what t->wait_reason waits for has come */
void tripod_progress(struct tripod_domain *t); /* a call went through: whoever waits is not spinning */
void tripod_wake_all(struct tripod_domain *t);
void cf_check tripod_doorbell(struct vcpu *v, unsigned int port); /* dom0 kicked */
void cf_check tripod_recheck(void *domain);                      /* the timer */
void tripod_notify(struct tripod_domain *t);            /* kick dom0 */
static inline bool tripod_replaying(const struct tripod_domain *t)
{
    return t->mode == TRIPOD_MODE_replay || t->mode == TRIPOD_MODE_hold;
}
static inline bool tripod_recording(const struct tripod_domain *t)
{
    return t->mode == TRIPOD_MODE_record || t->mode == TRIPOD_MODE_trace;
}
/* May an output add to what dom0's gate holds? */
bool tripod_gate_has_room(const struct tripod_domain *t);

/* Notes the first divergence, tells dom0, and stops following the log. */
void tripod_diverge(struct tripod_domain *t, const struct tripod_entry *entry, unsigned int reason,
                    uint64_t expected, uint64_t found);
void tripod_guest_broken(struct tripod_domain *t, unsigned int what, uint32_t tid, unsigned int nr);


#endif
