// SPDX-License-Identifier: Apache-2.0
//
// host-agent: runs in a lab host's dom0 and executes the commands that host-exec sends, as root and without any
// authentication: its link leads to the lab machine alone. Linked statically, so that it needs nothing of the
// image. Usage: host-agent   (listens on TCP port agent_port of every address; see frame.hpp)
#include "frame.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using lab::FrameType;

struct Child {
    pid_t pid = -1;
    int input = -1;          // does not block
    std::string pending;     // input that the command has not taken yet
    bool input_ends = false; // the client has sent the end of file
    int output = -1;
    int errors = -1;
};

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "host-agent: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * nanoseconds_per_second + now.tv_nsec;
}

void advance_clock(std::int64_t by_ns) {
    const std::int64_t to = now_ns() + by_ns;
    const timespec time{to / nanoseconds_per_second, to % nanoseconds_per_second};
    if (clock_settime(CLOCK_REALTIME, &time))
        die("clock_settime");
}

Child start(const std::vector<std::string>& words) {
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        die("pipe2");
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (const auto& word : words)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);

    const pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        setsid(); // its own process group, so that all of it can be killed
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        std::signal(SIGPIPE, SIG_DFL);
        std::signal(SIGCHLD, SIG_DFL);
        execvp(argv[0], argv.data());
        std::fprintf(stderr, "%s: %s\n", argv[0], std::strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    Child child;
    child.pid = pid;
    child.input = in[1];
    child.output = out[0];
    child.errors = err[0];
    return child;
}

// Passes on what is readable now; closes fd at its end. Returns false if the client has gone.
bool forward(int& fd, FrameType type, int client) {
    std::array<char, lab::frame_body_bytes_max> buffer;
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n <= 0) {
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            return true;
        close(fd);
        fd = -1;
        return true;
    }
    return lab::send_frame(client, type, {buffer.data(), static_cast<std::size_t>(n)});
}

// Hands the command what it takes without blocking: were we to wait for a command that itself waits for us to take
// its output, both would wait for ever.
void feed(Child& child) {
    while (child.input >= 0 && !child.pending.empty()) {
        const ssize_t n = write(child.input, child.pending.data(), child.pending.size());
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            child.pending.clear();
            child.input_ends = true;
        } else {
            child.pending.erase(0, static_cast<std::size_t>(n));
        }
    }
    if (child.input >= 0 && child.input_ends) {
        close(child.input);
        child.input = -1;
    }
}

// What the command wrote before it ended is still in the pipes. Whoever it left behind (a daemon) may hold them
// open for ever, so only what is there now is taken.
bool drain(Child& child, int client) {
    for (auto [fd, type] :
         {std::pair{&child.output, FrameType::output}, std::pair{&child.errors, FrameType::errors}}) {
        pollfd ready{*fd, POLLIN, 0};
        while (*fd >= 0 && poll(&ready, 1, 0) > 0) {
            if (!forward(*fd, type, client))
                return false;
        }
    }
    return true;
}

void serve(int client) {
    std::vector<std::string> words;
    lab::Frame frame;
    while (lab::receive_frame(client, frame) &&
           (frame.type == FrameType::argument || frame.type == FrameType::clock)) {
        if (frame.type == FrameType::argument) {
            words.push_back(frame.body);
            continue;
        }
        if (!frame.body.empty())
            advance_clock(std::strtoll(frame.body.c_str(), nullptr, 10));
        lab::send_frame(client, FrameType::clock, std::to_string(now_ns()));
    }
    if (frame.type != FrameType::run || words.empty())
        return;

    // SIGCHLD becomes readable, so that one poll waits for everything.
    static int child_ended[2];
    if (pipe2(child_ended, O_CLOEXEC | O_NONBLOCK))
        die("pipe2");
    std::signal(SIGCHLD, [](int) { [[maybe_unused]] const auto n = write(child_ended[1], "", 1); });

    Child child = start(words);
    bool connected = true;
    int status = 0;
    for (;;) {
        // No more input is taken from the client before the last is delivered.
        const bool full = !child.pending.empty();
        std::array<pollfd, 5> wait{{{client, static_cast<short>(full ? POLLRDHUP : POLLIN), 0},
                                    {child.output, POLLIN, 0},
                                    {child.errors, POLLIN, 0},
                                    {child_ended[0], POLLIN, 0},
                                    {full ? child.input : -1, POLLOUT, 0}}};
        if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR)
            die("poll");
        if (wait[0].revents) {
            if (full || !lab::receive_frame(client, frame)) {
                connected = false;
            } else if (frame.type == FrameType::input) {
                child.pending = frame.body;
                child.input_ends = child.input_ends || frame.body.empty();
            }
        }
        feed(child);
        if (connected && wait[1].revents)
            connected = forward(child.output, FrameType::output, client);
        if (connected && wait[2].revents)
            connected = forward(child.errors, FrameType::errors, client);
        if (!connected) {
            kill(-child.pid, SIGKILL);
            waitpid(child.pid, &status, 0);
            return;
        }
        if (waitpid(child.pid, &status, WNOHANG) == child.pid)
            break;
    }
    if (!drain(child, client))
        return;
    const char code = static_cast<char>(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    lab::send_frame(client, FrameType::status, {&code, 1});
}

} // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGCHLD, SIG_IGN); // connections' processes are reaped by the kernel
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(lab::agent_port);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) || listen(listener, 64))
        die("listen");
    for (;;) {
        const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fork() == 0) {
            close(listener);
            std::signal(SIGCHLD, SIG_DFL);
            serve(client);
            std::_Exit(0);
        }
        close(client);
    }
}
