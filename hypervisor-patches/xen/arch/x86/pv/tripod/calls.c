/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of system calls: where each keeps what it gives, and how it is treated. A call without a row is native.
 * Source: the Linux manual, section 2, and arch/x86/entry/syscalls/syscall_64.tbl for the numbers.
 */
#include "internal.h"

#define RESULT(a, n, unit)  { .kind = TRIPOD_OUT_result, .arg = a, .count = n, .size = unit }
#define FIXED(a, bytes)     { .kind = TRIPOD_OUT_fixed, .arg = a, .size = bytes }
#define CHILD(a, bytes)     { .kind = TRIPOD_OUT_child, .arg = a, .size = bytes }
#define ARRAY(a, n, unit)   { .kind = TRIPOD_OUT_array, .arg = a, .count = n, .size = unit }
#define IOV(a, n)           { .kind = TRIPOD_OUT_iov, .arg = a, .count = n }
#define SIZED(a, l)         { .kind = TRIPOD_OUT_sized, .arg = a, .count = l }
#define MESSAGE(a)          { .kind = TRIPOD_OUT_message, .arg = a }
#define FDSET(a)            { .kind = TRIPOD_OUT_fdset, .arg = a, .count = 0 }

#define ROW(cls, where, fd) .call_class = TRIPOD_CLASS_ ## cls, .scope = TRIPOD_SCOPE_ ## where, .fd_arg = fd
#define CLAMP(a, unit)      .clamp = a, .clamp_unit = unit
#define TIMEVAL   16
#define TIMESPEC  16
#define EPOLL_EVENT 12
#define POLLFD    8

static const struct tripod_call calls[] = {
    [0]   = { ROW(input, network_value, 0), CLAMP(2, 1), .outs = { RESULT(1, 2, 1) } },                /* read */
    [1]   = { ROW(output, network, 0), .in = TRIPOD_IN_buffer },                                      /* write */
    [3]   = { ROW(mirror, network, 0) },                                                              /* close */
    [7]   = { ROW(wait, always, -1), .outs = { ARRAY(0, 1, POLLFD) } },                               /* poll */
    [17]  = { ROW(value, value, 0), CLAMP(2, 1), .outs = { RESULT(1, 2, 1) } },                       /* pread64 */
    [19]  = { ROW(input, network_value, 0), .outs = { IOV(1, 2) } },                                  /* readv */
    [20]  = { ROW(output, network, 0), .in = TRIPOD_IN_iov },                                         /* writev */
    [23]  = { ROW(wait, always, -1), .outs = { FDSET(1), FDSET(2), FDSET(3), FIXED(4, TIMEVAL) } },   /* select */
    [40]  = { ROW(output, network, 0), .second_fd = 1, .in = TRIPOD_IN_file, .outs = { FIXED(2, 8) } }, /* sendfile */
    [41]  = { ROW(mirror, inet_family, -1) },                                                         /* socket */
    [42]  = { ROW(socket, network, 0) },                                                              /* connect */
    [43]  = { ROW(accept, network, 0), .outs = { SIZED(1, 2) } },                                     /* accept */
    [44]  = { ROW(output, network, 0), .in = TRIPOD_IN_buffer },                                      /* sendto */
    [45]  = { ROW(input, network, 0), CLAMP(2, 1), .outs = { RESULT(1, 2, 1), SIZED(4, 5) } },        /* recvfrom */
    [46]  = { ROW(output, network, 0), .in = TRIPOD_IN_message },                                     /* sendmsg */
    [47]  = { ROW(input, network, 0), .outs = { MESSAGE(1) } },                                       /* recvmsg */
    [48]  = { ROW(socket, network, 0) },                                                              /* shutdown */
    [51]  = { ROW(socket, network, 0), .outs = { SIZED(1, 2) } },                                     /* getsockname */
    [52]  = { ROW(socket, network, 0), .outs = { SIZED(1, 2) } },                                     /* getpeername */
    [55]  = { ROW(socket, network, 0), .outs = { SIZED(3, 4) } },                                     /* getsockopt */
    [60]  = { ROW(mirror, exit, -1) },                                                                /* exit */
    [61]  = { ROW(value, always, -1), .outs = { CHILD(1, 4), CHILD(3, 144) } },                       /* wait4 */
    [96]  = { ROW(value, always, -1), .outs = { FIXED(0, TIMEVAL), FIXED(1, 8) } },                   /* gettimeofday */
    [98]  = { ROW(value, always, -1), .outs = { FIXED(1, 144) } },                                    /* getrusage */
    [99]  = { ROW(value, always, -1), .outs = { FIXED(0, 112) } },                                    /* sysinfo */
    [100] = { ROW(value, always, -1), .outs = { FIXED(0, 32) } },                                     /* times */
    [201] = { ROW(value, always, -1), .outs = { FIXED(0, 8) } },                                      /* time */
    [209] = { ROW(input, aio, -1) },                                                                  /* io_submit */
    [228] = { ROW(value, always, -1), .outs = { FIXED(1, TIMESPEC) } },                               /* clock_gettime */
    [231] = { ROW(mirror, exit, -1) },                                                                /* exit_group */
    [232] = { ROW(wait, always, -1), CLAMP(2, EPOLL_EVENT), .outs = { RESULT(1, 2, EPOLL_EVENT) } },  /* epoll_wait */
    [270] = { ROW(wait, always, -1), .outs = { FDSET(1), FDSET(2), FDSET(3), FIXED(4, TIMESPEC) } },  /* pselect6 */
    [271] = { ROW(wait, always, -1), .outs = { ARRAY(0, 1, POLLFD), FIXED(2, TIMESPEC) } },           /* ppoll */
    [275] = { ROW(output, unsupported, 0), .second_fd = 2 },                                          /* splice */
    [276] = { ROW(output, unsupported, 0), .second_fd = 1 },                                          /* tee */
    [278] = { ROW(output, unsupported, 0) },                                                          /* vmsplice */
    [281] = { ROW(wait, always, -1), CLAMP(2, EPOLL_EVENT), .outs = { RESULT(1, 2, EPOLL_EVENT) } },  /* epoll_pwait */
    [288] = { ROW(accept, network, 0), .outs = { SIZED(1, 2) } },                                     /* accept4 */
    [299] = { ROW(input, unsupported, 0) },                                                           /* recvmmsg */
    [307] = { ROW(output, unsupported, 0) },                                                          /* sendmmsg */
    [318] = { ROW(value, always, -1), CLAMP(1, 1), .outs = { RESULT(0, 1, 1) } },                     /* getrandom */
    [327] = { ROW(input, unsupported, 0) },                                                           /* preadv2 */
    [328] = { ROW(output, unsupported, 0) },                                                          /* pwritev2 */
    [425] = { ROW(refused, everybody, -1) },                                                          /* io_uring_setup */
    [426] = { ROW(input, forbidden, -1) },                                                            /* io_uring_enter */
    [427] = { ROW(input, forbidden, -1) },                                                            /* io_uring_register */
    [441] = { ROW(wait, always, -1), CLAMP(2, EPOLL_EVENT), .outs = { RESULT(1, 2, EPOLL_EVENT) } },  /* epoll_pwait2 */
};

const struct tripod_call *tripod_call(unsigned int nr)
{
    const struct tripod_call *call;

    if ( nr >= ARRAY_SIZE(calls) )
        return NULL;
    call = &calls[array_index_nospec(nr, ARRAY_SIZE(calls))];
    return call->call_class == TRIPOD_CLASS_native ? NULL : call;
}
