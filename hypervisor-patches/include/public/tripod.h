/* SPDX-License-Identifier: MIT */
/*
 * tripod.h - the one interface between the hypervisor and dom0 (as all of Xen's public headers: MIT).
 *
 * Compiled by Xen (C) and by the dom0 daemon (C++). It describes
 *   1. the domctl XEN_DOMCTL_tripod, which sets up one domain;
 *   2. the resource XENMEM_resource_tripod, the pages that Xen and dom0 share for that domain;
 *   3. the records in its two rings.
 *
 * The pages belong to dom0 and are never visible to the guest: everything in them is trusted by both sides.
 * All integers are little-endian; the only machine is x86-64. Times are Xen system time in nanoseconds.
 *
 * Whoever changes a layout here raises TRIPOD_INTERFACE_VERSION: both sides refuse another version.
 */
#ifndef __XEN_PUBLIC_TRIPOD_H__
#define __XEN_PUBLIC_TRIPOD_H__

#ifndef __XEN__
#include <stdint.h>
#endif

#define TRIPOD_INTERFACE_VERSION 2u

/* ---------------------------------------------------------------- 1. the domctl */

/* Number of the domctl; Xen's own end below 100, gdbsx' at 1004. */
#define XEN_DOMCTL_tripod 5460

enum tripod_op {
    TRIPOD_OP_version = 0,  /* any domain: fills in `interface_version`; never fails on a patched Xen */
    TRIPOD_OP_enable  = 1,  /* allocates rings; mode becomes off. EEXIST when enabled already */
    TRIPOD_OP_disable = 2,  /* frees all; waiting threads fall through to the guest kernel. Idempotent */
    TRIPOD_OP_profile = 3,  /* tells where the guest kernel keeps what (struct tripod_profile) */
    TRIPOD_OP_mode    = 4,  /* changes the mode; the domain should be paused or suspended when it leaves off */
    TRIPOD_OP_status  = 5,  /* reads mode, time and, after a divergence, its description */
};

enum tripod_mode {
    TRIPOD_MODE_off    = 0, /* nothing is intercepted */
    TRIPOD_MODE_record = 1, /* calls run in the guest kernel and are logged; outputs wait while the gate has no room */
    TRIPOD_MODE_replay = 2, /* calls are answered from the replay ring */
    TRIPOD_MODE_hold   = 3, /* every intercepted call waits */
    TRIPOD_MODE_live   = 4, /* as off, but reached from replay: clocks do not run backwards */
    TRIPOD_MODE_trace  = 5, /* as record, but there is no gate: nothing waits for its room */
};

/*
 * Offsets, in bytes, into the guest kernel's structures; from its BTF. `current_task` and `runqueues` are offsets
 * into the per-CPU area (what the kernel adds to its GS base). Every value read through them is treated as hostile.
 */
struct tripod_profile {
    uint64_t current_task;          /* per-CPU: struct task_struct * */
    uint64_t runqueues;             /* per-CPU: struct rq */
    uint16_t rq_nr_running;         /* struct rq: unsigned int */
    uint16_t task_pid;              /* struct task_struct: pid_t pid (the thread's id) */
    uint16_t task_tgid;             /* struct task_struct: pid_t tgid */
    uint16_t task_files;            /* struct task_struct: struct files_struct * */
    uint16_t files_fdt;             /* struct files_struct: struct fdtable * */
    uint16_t fdt_max_fds;           /* struct fdtable: unsigned int */
    uint16_t fdt_fd;                /* struct fdtable: struct file ** */
    uint16_t file_inode;            /* struct file: struct inode * */
    uint16_t file_private;          /* struct file: void *private_data (a socket's: struct socket *) */
    uint16_t inode_mode;            /* struct inode: umode_t (16 bits) */
    uint16_t inode_rdev;            /* struct inode: dev_t (32 bits) */
    uint16_t inode_sb;              /* struct inode: struct super_block * */
    uint16_t sb_magic;              /* struct super_block: unsigned long s_magic */
    uint16_t socket_sk;             /* struct socket: struct sock * */
    uint16_t sk_family;             /* struct sock: unsigned short __sk_common.skc_family */
    uint16_t sk_state;              /* struct sock: unsigned char  __sk_common.skc_state */
    uint16_t sk_type;               /* struct sock: u16 sk_type */
    uint16_t sk_daddr;              /* struct sock: __be32 __sk_common.skc_daddr */
    uint16_t sk_rcv_saddr;          /* struct sock: __be32 __sk_common.skc_rcv_saddr */
    uint16_t sk_dport;              /* struct sock: __be16 __sk_common.skc_dport */
    uint16_t sk_num;                /* struct sock: __u16  __sk_common.skc_num (host order) */
    uint16_t sk_v6_daddr;           /* struct sock: struct in6_addr __sk_common.skc_v6_daddr, 0 without IPv6 */
    uint16_t sk_v6_rcv_saddr;       /* struct sock: struct in6_addr __sk_common.skc_v6_rcv_saddr */
    uint16_t task_state;            /* struct task_struct: unsigned int __state (0: runnable) */
    uint16_t pad[2];                /* zero */
};

enum tripod_reason {
    TRIPOD_REASON_none       = 0,
    TRIPOD_REASON_syscall    = 1,   /* another syscall than the log's: expected/found are numbers */
    TRIPOD_REASON_descriptor = 2,   /* another file descriptor */
    TRIPOD_REASON_output     = 3,   /* other bytes: expected/found are digests */
    TRIPOD_REASON_length     = 4,   /* other length of an output */
    TRIPOD_REASON_result     = 5,   /* a call that runs on both sides returned something else */
    TRIPOD_REASON_record     = 6,   /* the record itself is malformed or does not fit the call */
    TRIPOD_REASON_guest      = 7,   /* the guest did what cannot be recorded: `found` says what (TRIPOD_GUEST_*) */
    TRIPOD_REASON_socket     = 8,   /* an announced socket with another peer: expected/found are remote ports */
    TRIPOD_REASON_capacity   = 9,   /* a call with room for fewer bytes than the log delivers: expected/found are bytes */
};

#define TRIPOD_GUEST_compat_call   1    /* a 32-bit or x32 system call by a process with network sockets */
#define TRIPOD_GUEST_too_large     2    /* a vector read or message of more than TRIPOD_PAYLOAD_MAX bytes */
#define TRIPOD_GUEST_bad_buffer    3    /* a buffer that the kernel could use and Xen cannot */
#define TRIPOD_GUEST_too_many      4    /* more threads in logged calls, or followed processes, than Xen has room for */
#define TRIPOD_GUEST_unsupported   5    /* a call on a network socket that this version cannot log */

struct tripod_divergence {
    uint64_t seq;                   /* of the record at the head, or to be logged next */
    uint64_t expected, found;
    uint32_t reason;                /* enum tripod_reason, 0: none */
    uint32_t tid;
    uint16_t nr;                    /* the syscall that was made */
    uint16_t pad[3];
};

/* Whether a domain can still run. */
enum tripod_life {
    TRIPOD_LIFE_running  = 0,
    TRIPOD_LIFE_shutdown = 1,       /* it has shut down, rebooted, crashed or is suspended */
    TRIPOD_LIFE_dying    = 2,       /* it is being destroyed */
};

struct xen_domctl_tripod {
    uint32_t op;                    /* IN: enum tripod_op */
    uint32_t interface_version;     /* IN: TRIPOD_INTERFACE_VERSION (else EOPNOTSUPP); OUT: Xen's */
    union {
        struct {
            uint32_t ring_pages;    /* IN: pages of each of the two rings, a power of two, 64..4096 */
            uint32_t evtchn_port;   /* OUT: to bind interdomain; both directions go through it */
        } enable;
        struct tripod_profile profile;
        struct {
            uint32_t mode;          /* IN: enum tripod_mode */
            uint32_t pad;
            uint64_t next_seq;      /* IN: number of the first record logged or applied in that mode */
        } mode;
        struct {
            uint32_t mode;          /* OUT */
            uint32_t waiting;       /* OUT: threads that wait now */
            uint64_t now_ns;        /* OUT: Xen system time */
            uint64_t calls;         /* OUT: intercepted calls since enable */
            struct tripod_divergence divergence;
            uint32_t life;          /* OUT: enum tripod_life */
            uint32_t pad;
        } status;
        uint64_t raw[14];
    } u;
};

/* ---------------------------------------------------------------- 2. the shared pages */

/* For XENMEM_acquire_resource. The ids: */
#define XENMEM_resource_tripod 0x5460
#define TRIPOD_RESOURCE_control 0   /* one page: struct tripod_control */
#define TRIPOD_RESOURCE_record  1   /* ring_pages pages, Xen writes */
#define TRIPOD_RESOURCE_replay  2   /* ring_pages pages, dom0 writes */

#define TRIPOD_CONTROL_MAGIC 0x31504954u /* "TIP1" */

/* bits of tripod_control.waits: why threads wait. dom0 kicks the event channel when it changed what they wait for. */
#define TRIPOD_WAIT_gate   (1u << 0)    /* an output for room in the gate (gate_full) */
#define TRIPOD_WAIT_space  (1u << 1)    /* room in the record ring */
#define TRIPOD_WAIT_replay (1u << 2)    /* the next record of the replay ring */

/*
 * The gate in dom0 holds each frame of the guest until all records that could have influenced it are committed. To know
 * which, dom0 looks after it has seen the frame, in this order: unfit, exposed, record_seq (each with acquire). If `unfit`
 * is set, the guest's inputs are no longer logged, and the frame may not leave at all. If `exposed` is 0, the frame
 * depends on no record but those before record_seq. Otherwise dom0 looks again later.
 *
 * Positions (`*_prod`, `*_cons`) are byte counts that only grow; position modulo ring size is the offset. The
 * producer writes records first, then its position; a reader reads the position first (release/acquire).
 */
struct tripod_control {
    /* line 0: set by Xen at enable */
    uint32_t magic, version, ring_bytes, pad0;
    uint64_t pad1[6];
    /* line 1: Xen writes */
    uint64_t record_prod;           /* end of the record ring's content */
    uint64_t record_seq;            /* number of the next record */
    uint64_t replay_cons;           /* replay ring: up to here applied */
    uint64_t replay_seq;            /* number of the next record to apply */
    uint32_t waits;                 /* TRIPOD_WAIT_* */
    uint32_t unfit;                 /* enum tripod_reason; see TRIPOD_OP_status for the rest */
    uint32_t exposed;               /* inputs that are not logged yet, but whose bytes other threads may see already */
    uint32_t pad2[5];
    /* line 2: dom0 writes */
    uint64_t record_cons;           /* record ring: up to here taken */
    uint64_t replay_prod;           /* end of the replay ring's content */
    uint64_t notify_seq;            /* Xen kicks dom0 when record_seq reaches this, and whenever a thread starts to wait */
    uint32_t gate_full;             /* not 0: outputs wait, the gate holds as much as it may */
    uint32_t pad3[9];
};

/* ---------------------------------------------------------------- 3. records */

/* Bytes that one record may carry beside its header; longer reads are cut to this (a short read is legal). */
#define TRIPOD_PAYLOAD_MAX (64u * 1024u)
/* Bytes of an output that its digest covers. */
#define TRIPOD_DIGEST_MAX  (64u * 1024u)

enum tripod_record_type {
    TRIPOD_REC_pad    = 0,          /* fills the ring's end; has only `size` and `type`; never leaves the ring */
    TRIPOD_REC_call   = 1,          /* one system call */
    TRIPOD_REC_socket = 2,          /* an inet socket that a process had when it was first followed; one segment */
};

/* What a record's call is, see docs/hypervisor-interface.md; also printed by `tripod trace`. */
enum tripod_class {
    TRIPOD_CLASS_native  = 0,
    TRIPOD_CLASS_input   = 1,
    TRIPOD_CLASS_wait    = 2,
    TRIPOD_CLASS_value   = 3,
    TRIPOD_CLASS_accept  = 4,
    TRIPOD_CLASS_socket  = 5,       /* answered from the log: connect, getpeername, shutdown, getsockopt... */
    TRIPOD_CLASS_output  = 6,
    TRIPOD_CLASS_mirror  = 7,       /* runs on both sides, in order, results compared: close, socket */
    TRIPOD_CLASS_refused = 8,       /* ENOSYS on both sides */
};

/* Header of a record. `size` bytes in all, a multiple of 8, never across the ring's end. */
struct tripod_record {
    uint32_t size;
    uint16_t type;                  /* enum tripod_record_type */
    uint16_t nr;                    /* Linux x86-64 system call number */
    uint64_t seq;
    uint64_t time_ns;               /* Xen system time of the primary when it was logged */
    uint32_t tid, tgid;
    int32_t  fd;                    /* -1: none */
    uint16_t call_class;            /* enum tripod_class */
    uint16_t segments;
    int64_t  result;
    uint64_t digest;                /* outputs: XXH64, seed 0, of the first TRIPOD_DIGEST_MAX bytes asked to be sent */
    uint64_t length;                /* outputs: bytes asked to be sent */
    uint64_t arg[3];                /* first three arguments as passed, for people */
};

enum tripod_segment_kind {
    TRIPOD_SEG_arg     = 1,         /* bytes the kernel wrote where argument `arg` points */
    TRIPOD_SEG_iov     = 2,         /* bytes written across the iovec array that argument `arg` points to */
    TRIPOD_SEG_msghdr  = 3,         /* recvmsg: struct tripod_msghdr */
    TRIPOD_SEG_name    = 4,         /* recvmsg: msg_name's bytes */
    TRIPOD_SEG_control = 5,         /* recvmsg: msg_control's bytes */
    TRIPOD_SEG_socket  = 6,         /* struct tripod_socket: of the accepted or announced socket */
};

/* Followed by `length` bytes, padded with zeros to a multiple of 8. */
struct tripod_segment {
    uint16_t kind;                  /* enum tripod_segment_kind */
    uint16_t arg;                   /* 0..5 */
    uint32_t length;
};

struct tripod_msghdr {
    uint32_t namelen, flags;
    uint64_t controllen;
};

/* A socket as the guest kernel sees it. Addresses in network order, IPv4 in the first four bytes; ports in host order. */
struct tripod_socket {
    uint16_t family, type;          /* AF_*, SOCK_* */
    uint16_t state;                 /* TCP_* of Linux' tcp_states.h */
    uint16_t local_port, remote_port;
    uint16_t pad[3];
    uint8_t  local_addr[16], remote_addr[16];
};

#endif /* __XEN_PUBLIC_TRIPOD_H__ */
