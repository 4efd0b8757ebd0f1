// SPDX-License-Identifier: Apache-2.0
//
// Runs inside the guest: what one system call costs, in nanoseconds of the guest's clock, for calls that Tripod
// treats differently. On a host whose QEMU counts instructions (-icount shift=0) a nanosecond is an instruction.
// Prints a line
//
//   COST native=… unlogged=… value=… input=… output=…
//
// over and over: `native` is a call without a row in Xen's table, `unlogged` one that has a row but is on no
// network socket, `value` and `input` are logged while interception is on, `output` is a write to a datagram
// socket. Each figure is the least of many rounds, so that rounds which a timer interrupt or dom0 fell into do not
// count.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <limits>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr int calls_per_round = 100;
constexpr int rounds = 60;

std::int64_t now_ns() {
    timespec t{};
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return std::int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

template <class Call>
std::int64_t cost(Call call) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (int round = 0; round < rounds; ++round) {
        const std::int64_t began = now_ns();
        for (int i = 0; i < calls_per_round; ++i)
            call();
        least = std::min(least, now_ns() - began);
        // Leave dom0 the time to empty the ring: a full one would be measured instead.
        usleep(2000);
    }
    return least / calls_per_round;
}

} // namespace

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    // A listening socket makes this process one that is followed.
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(7000);
    const int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    // Writes to this machine itself, to a socket that nobody reads: its buffer is full soon, and each of them is
    // the same.
    const int sender = socket(AF_INET, SOCK_DGRAM, 0);
    const int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in here = address;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::array<int, 2> ends{};
    if (bind(receiver, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0 ||
        connect(sender, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0 ||
        bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 1) != 0 ||
        datagrams < 0 || pipe(ends.data()) != 0) {
        std::perror("syscall-cost");
        return 1;
    }

    std::array<char, 64> buffer{};
    for (;;) {
        const std::int64_t native = cost([] { syscall(SYS_getppid); });
        const std::int64_t unlogged =
            cost([&] { (void)!write(ends[1], "x", 1), (void)!read(ends[0], buffer.data(), 1); });
        const std::int64_t value = cost([] {
            timespec t{};
            syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
        });
        const std::int64_t input = cost([&] { (void)recv(datagrams, buffer.data(), buffer.size(), 0); });
        const std::int64_t output = cost([&] { (void)!write(sender, buffer.data(), buffer.size()); });
        std::printf("COST native=%lld unlogged=%lld value=%lld input=%lld output=%lld\n",
                    static_cast<long long>(native), static_cast<long long>(unlogged / 2),
                    static_cast<long long>(value), static_cast<long long>(input), static_cast<long long>(output));
    }
}
