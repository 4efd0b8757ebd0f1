// SPDX-License-Identifier: Apache-2.0
//
// host-exec: runs one command in the dom0 of a lab host, as if it ran here: standard streams and exit status are
// the command's. See frame.hpp.
//
// Usage: host-exec [-t SECONDS] NETNS TAP COMMAND [ARGUMENT...]
//        host-exec --clock|--set-clock NETNS TAP
//   NETNS  the lab's network namespace; TAP the host's control link in it
//   -t     give up after so long (exit status 124, the command is killed)
//   --clock  prints "OFFSET ERROR": the host's clock minus this machine's, and how wrong that may be, both in ns
//   --set-clock  sets the host's clock to this machine's first
// Exit status 125: the host could not be reached, or went away before the command had ended.
//
// Every host has the same address on its control link; the link itself, named by SO_BINDTODEVICE, tells them apart.
// So a host that has just come out of a snapshot can be reached before it has an identity.
#include "frame.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using lab::FrameType;

constexpr const char* host_address = "169.254.7.2";
constexpr auto connect_timeout = std::chrono::milliseconds(3000);
constexpr int exit_timeout = 124;
constexpr int exit_unreachable = 125;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "host-exec: %s\n", what.c_str());
    std::exit(exit_unreachable);
}

int milliseconds_until(Clock::time_point deadline) {
    if (deadline == Clock::time_point::max())
        return -1;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(0, left));
}

int connect_to(const std::string& network_namespace, const std::string& tap) {
    const int ns = open(("/run/netns/" + network_namespace).c_str(), O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET))
        fail("network namespace " + network_namespace + ": " + std::strerror(errno));
    close(ns);

    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, tap.c_str(), static_cast<socklen_t>(tap.size())))
        fail(tap + ": " + std::strerror(errno));
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // A host that loses power says nothing more. One that is paused for a minute is still waited for.
    const int idle_s = 10, interval_s = 10, probes = 6;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(lab::agent_port);
    inet_pton(AF_INET, host_address, &address.sin_addr);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) && errno != EINPROGRESS)
        fail(tap + ": connect: " + std::strerror(errno));
    pollfd wait{fd, POLLOUT, 0};
    int error = ETIMEDOUT;
    socklen_t size = sizeof error;
    if (poll(&wait, 1, static_cast<int>(connect_timeout.count())) > 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        fail(tap + ": connect: " + std::strerror(error));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

// Relays until the command's status arrives; returns it.
int relay(int fd, Clock::time_point deadline) {
    bool input_open = true;
    lab::Frame frame;
    for (;;) {
        std::array<pollfd, 2> wait{{{fd, POLLIN, 0}, {input_open ? 0 : -1, POLLIN, 0}}};
        const int ready = poll(wait.data(), wait.size(), milliseconds_until(deadline));
        if (ready == 0)
            return exit_timeout;
        if (ready < 0 && errno != EINTR)
            fail(std::string("poll: ") + std::strerror(errno));
        if (wait[1].revents) {
            std::array<char, lab::frame_body_bytes_max> buffer;
            const ssize_t n = read(0, buffer.data(), buffer.size());
            input_open = n > 0;
            if (!lab::send_frame(fd, FrameType::input,
                                 {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))}))
                input_open = false; // the status may still be on its way
        }
        if (!wait[0].revents)
            continue;
        if (!lab::receive_frame(fd, frame))
            fail("the host went away before the command had ended");
        switch (frame.type) {
        case FrameType::output:
            lab::write_all(1, frame.body);
            break;
        case FrameType::errors:
            lab::write_all(2, frame.body);
            break;
        case FrameType::status:
            return static_cast<unsigned char>(frame.body.at(0));
        default:
            fail("unexpected frame from the host");
        }
    }
}

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

struct ClockOffset {
    std::int64_t offset_ns; // the host's clock minus this machine's
    std::int64_t error_ns;  // the true offset lies within offset_ns +- error_ns
};

// The fastest of some exchanges bounds the error best: the host read its clock somewhere within that round trip.
ClockOffset measure_clock(int fd) {
    ClockOffset best{0, std::numeric_limits<std::int64_t>::max()};
    for (int i = 0; i < 20; i++) {
        const std::int64_t before = now_ns();
        lab::Frame frame;
        if (!lab::send_frame(fd, FrameType::clock, {}) || !lab::receive_frame(fd, frame))
            fail("the host went away");
        const std::int64_t half = (now_ns() - before) / 2;
        if (half < best.error_ns)
            best = {std::strtoll(frame.body.c_str(), nullptr, 10) - (before + half), half};
    }
    return best;
}

int clock_command(int fd, bool set) {
    if (set) {
        lab::Frame frame;
        if (!lab::send_frame(fd, FrameType::clock, std::to_string(-measure_clock(fd).offset_ns)) ||
            !lab::receive_frame(fd, frame))
            fail("the host went away");
    }
    const ClockOffset result = measure_clock(fd);
    std::printf("%lld %lld\n", static_cast<long long>(result.offset_ns), static_cast<long long>(result.error_ns));
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    auto deadline = Clock::time_point::max();
    int at = 1;
    const std::string option = argc > 1 ? argv[1] : "";
    if (argc == 4 && (option == "--clock" || option == "--set-clock"))
        return clock_command(connect_to(argv[2], argv[3]), option == "--set-clock");
    if (argc > 2 && option == "-t") {
        deadline =
            Clock::now() + std::chrono::milliseconds(static_cast<long>(1000 * std::strtod(argv[2], nullptr)));
        at = 3;
    }
    if (argc < at + 3) {
        std::fprintf(stderr, "usage: host-exec [-t SECONDS] NETNS TAP COMMAND [ARGUMENT...]\n");
        return 1;
    }
    const int fd = connect_to(argv[at], argv[at + 1]);
    for (int i = at + 2; i < argc; i++) {
        const std::string word = argv[i];
        if (word.size() > lab::frame_body_bytes_max)
            fail("an argument is too long");
        lab::send_frame(fd, FrameType::argument, word);
    }
    lab::send_frame(fd, FrameType::run, {});
    return relay(fd, deadline);
}
