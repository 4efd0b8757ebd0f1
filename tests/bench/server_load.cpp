// SPDX-License-Identifier: Apache-2.0
//
// The outside client of the benchmarks: some connections, each of which sends a request (or a pipeline of them),
// waits for the answers, and sends the next. Every answer is checked. Prints JSON.
//
// Exit status: 0 all answers were right; 4 one was wrong, or the connection broke; 1 wrong usage or no connection.
#include "load_protocol.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using load::Answer;

constexpr int exit_bad_answer = 4;
constexpr auto resend_after = std::chrono::seconds(1); // a datagram that got no answer

struct Options {
    std::string host = "10.77.0.50", protocol;
    std::uint16_t port = 0;
    int clients = 4, pipeline = 1;
    double seconds = 5, warm_up = 0.5;
    bool check = false;
};

struct Client {
    int socket = -1;
    std::uint64_t next = 0;    // number of the oldest request without an answer
    std::uint64_t to_send = 0; // number of the next request
    Clock::time_point sent_at;
    std::string received;
};

struct Figures {
    std::vector<std::int64_t> latencies_ns;
    std::int64_t resent = 0;
    std::string trouble; // empty: none
};

int connected(const Options& options, bool datagrams) {
    const int fd = ::socket(AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    const timeval patience{.tv_sec = 5, .tv_usec = 0}; // also for connect
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd < 0 || ::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1 ||
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd);
        return -1;
    }
    const int yes = 1;
    if (!datagrams)
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

class Load {
  public:
    Load(const Options& options, const load::Protocol& protocol) : options_(options), protocol_(protocol) {}

    bool connect() {
        for (int i = 0; i < options_.clients; ++i) {
            Client client;
            client.socket = connected(options_, protocol_.datagrams());
            if (client.socket < 0)
                return false;
            client.next = client.to_send = static_cast<std::uint64_t>(i) * 100; // not all the same
            clients_.push_back(client);
            epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<std::uint32_t>(i)}};
            ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.socket, &event);
        }
        return true;
    }

    // Sends and receives until then. Only latencies of answers after `counted_from` count.
    void run(Clock::time_point counted_from, Clock::time_point until) {
        counted_from_ = counted_from;
        for (Client& client : clients_)
            send(client);
        std::array<epoll_event, 64> events{};
        while (figures_.trouble.empty() && Clock::now() < until) {
            const int n = ::epoll_wait(epoll_, events.data(), events.size(), 20);
            for (int i = 0; i < n; ++i)
                receive(clients_[events[static_cast<std::size_t>(i)].data.u32]);
            if (protocol_.datagrams())
                send_lost_ones_again();
        }
    }

    Figures& figures() { return figures_; }

  private:
    void send(Client& client) {
        std::string bytes;
        for (int i = 0; i < options_.pipeline; ++i)
            bytes += protocol_.request(client.to_send++);
        client.sent_at = Clock::now();
        // Small: it always fits.
        if (::send(client.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()) &&
            errno != ECONNREFUSED)
            trouble(fmt::format("send: {}", std::strerror(errno)));
    }

    void send_lost_ones_again() {
        for (Client& client : clients_) {
            if (Clock::now() - client.sent_at < resend_after)
                continue;
            ++figures_.resent;
            client.next = client.to_send; // an answer to the old one that comes late is passed over
            send(client);
        }
    }

    void receive(Client& client) {
        std::array<char, 65536> buffer; // NOLINT: filled by recv
        const ssize_t n = ::recv(client.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || (protocol_.datagrams() && errno == ECONNREFUSED)))
            return;
        if (n <= 0)
            return trouble(n == 0 ? "the server closed a connection"
                                  : fmt::format("recv: {}", std::strerror(errno)));
        client.received.append(buffer.data(), static_cast<std::size_t>(n));
        while (client.next < client.to_send && !client.received.empty()) {
            const Answer answer = protocol_.parse(client.received, client.next);
            if (answer.kind == Answer::Kind::incomplete)
                return;
            if (answer.kind == Answer::Kind::wrong) {
                if (protocol_.datagrams() && figures_.resent > 0) { // it may be a late one
                    client.received.clear();
                    return;
                }
                return trouble(
                    fmt::format("a wrong answer to request {}: {:?}", client.next, client.received.substr(0, 80)));
            }
            client.received.erase(0, answer.length);
            ++client.next;
            const auto now = Clock::now();
            if (now >= counted_from_)
                figures_.latencies_ns.push_back((now - client.sent_at) / std::chrono::nanoseconds(1));
        }
        if (client.next == client.to_send)
            send(client);
    }

    void trouble(const std::string& what) {
        if (figures_.trouble.empty())
            figures_.trouble = what;
    }

    const Options& options_;
    const load::Protocol& protocol_;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<Client> clients_;
    Clock::time_point counted_from_;
    Figures figures_;
};

double percentile_ms(std::vector<std::int64_t>& sorted, double fraction) {
    if (sorted.empty())
        return 0;
    return static_cast<double>(
               sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * fraction)]) /
           1e6;
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Asks a server as fast as it answers, and prints how fast that was."};
    app.add_option("-H,--host", options.host, "IPv4 address of the server")->capture_default_str();
    app.add_option("-p,--port", options.port, "its port")->required();
    app.add_option("--protocol", options.protocol, "http, redis, memcached or dns")->required();
    app.add_option("-c,--clients", options.clients, "connections")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    app.add_option("-P,--pipeline", options.pipeline, "requests that are sent at once")
        ->capture_default_str()
        ->check(CLI::Range(1, 100));
    app.add_option("-s,--seconds", options.seconds, "how long it is measured")->capture_default_str();
    app.add_option("--warm-up", options.warm_up, "seconds before that")->capture_default_str();
    app.add_flag("--check", options.check, "only see whether one request gets the right answer");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) ? 1 : 0;
    }
    const auto protocol = load::make_protocol(options.protocol);
    if (!protocol || (protocol->datagrams() && options.pipeline > 1)) {
        fmt::print(stderr, "server-load: {}\n", protocol ? "no pipelines of datagrams" : "no such protocol");
        return 1;
    }
    if (options.check) {
        options.clients = 1;
        options.warm_up = 0;
        options.seconds = 0.3;
    }

    Load load(options, *protocol);
    if (!load.connect()) {
        fmt::print(stderr, "server-load: {} port {}: {}\n", options.host, options.port, std::strerror(errno));
        return 1;
    }
    const auto counted_from =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.warm_up));
    const auto until =
        counted_from + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
    load.run(counted_from, until);
    auto& figures = load.figures();
    auto& latencies = figures.latencies_ns;
    std::sort(latencies.begin(), latencies.end());
    if (options.check)
        return figures.trouble.empty() && !latencies.empty() ? 0 : exit_bad_answer;

    const double took = std::chrono::duration<double>(Clock::now() - counted_from).count();
    nlohmann::ordered_json report{{"protocol", options.protocol},
                                  {"clients", options.clients},
                                  {"pipeline", options.pipeline},
                                  {"seconds", took},
                                  {"warm_up_s", options.warm_up},
                                  {"requests", latencies.size()},
                                  {"requests_per_s", static_cast<double>(latencies.size()) / took},
                                  {"p50_ms", percentile_ms(latencies, 0.5)},
                                  {"p99_ms", percentile_ms(latencies, 0.99)},
                                  {"max_ms", percentile_ms(latencies, 1)},
                                  {"resent", figures.resent}};
    if (!figures.trouble.empty())
        report["trouble"] = figures.trouble;
    fmt::print("{}\n", report.dump());
    return figures.trouble.empty() ? 0 : exit_bad_answer;
}
