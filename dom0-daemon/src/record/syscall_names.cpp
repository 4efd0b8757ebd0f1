// SPDX-License-Identifier: Apache-2.0
#include "record/syscall_names.h"

#include <algorithm>
#include <iterator>

#include <fmt/core.h>
#include <sys/syscall.h>

namespace tripod::record {

namespace {

struct Name {
    std::uint16_t nr;
    const char* name;
};

// Every call that Xen may log or name in a divergence; the numbers are the C library's.
#define CALL(name)                                                                                                 \
    { SYS_##name, #name }
constexpr Name names[] = {
    CALL(read),         CALL(write),      CALL(close),          CALL(poll),           CALL(ioctl),
    CALL(pread64),      CALL(pwrite64),   CALL(readv),          CALL(writev),         CALL(select),
    CALL(sched_yield),  CALL(dup),        CALL(dup2),           CALL(dup3),           CALL(nanosleep),
    CALL(getpid),       CALL(sendfile),   CALL(socket),         CALL(connect),        CALL(accept),
    CALL(sendto),       CALL(recvfrom),   CALL(sendmsg),        CALL(recvmsg),        CALL(shutdown),
    CALL(bind),         CALL(listen),     CALL(getsockname),    CALL(getpeername),    CALL(socketpair),
    CALL(setsockopt),   CALL(getsockopt), CALL(clone),          CALL(fork),           CALL(execve),
    CALL(exit),         CALL(wait4),      CALL(kill),           CALL(fcntl),          CALL(gettimeofday),
    CALL(getrusage),    CALL(sysinfo),    CALL(times),          CALL(time),           CALL(futex),
    CALL(epoll_create), CALL(epoll_wait), CALL(epoll_ctl),      CALL(clock_gettime),  CALL(clock_nanosleep),
    CALL(exit_group),   CALL(openat),     CALL(pselect6),       CALL(ppoll),          CALL(splice),
    CALL(epoll_pwait),  CALL(accept4),    CALL(eventfd2),       CALL(epoll_create1),  CALL(pipe2),
    CALL(preadv),       CALL(pwritev),    CALL(recvmmsg),       CALL(sendmmsg),       CALL(getrandom),
    CALL(preadv2),      CALL(pwritev2),   CALL(io_uring_setup), CALL(io_uring_enter), CALL(clone3),
    CALL(epoll_pwait2),
};
#undef CALL

} // namespace

std::string syscall_name(std::uint16_t nr) {
    const auto* found = std::find_if(std::begin(names), std::end(names), [=](const Name& n) { return n.nr == nr; });
    return found == std::end(names) ? fmt::format("syscall_{}", nr) : found->name;
}

} // namespace tripod::record
