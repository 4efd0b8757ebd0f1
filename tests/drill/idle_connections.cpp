// SPDX-License-Identifier: Apache-2.0
#include "idle_connections.h"

#include "writer.h"

#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

namespace drill {

namespace {

struct Watched {
    RedisConnection connection;
    std::string key;
    IdleConnection result;
    bool open = true;
};

tl::expected<Watched, Broken> open_one(const Endpoint& endpoint, const std::string& run, int number) {
    auto opened = RedisConnection::open(endpoint);
    if (!opened)
        return tl::unexpected(opened.error());
    Watched watched{std::move(*opened), fmt::format("{}:idle{}", run, number), {}, true};
    if (const auto answer = watched.connection.call({"SET", watched.key + ":open", "yes"}); !answer)
        return tl::unexpected(answer.error());
    watched.result.kind = number % 2 ? IdleKind::waiting : IdleKind::quiet;
    if (watched.result.kind == IdleKind::waiting) {
        const std::vector<std::string> words{"BLPOP", watched.key, "0"};
        if (const auto sent = watched.connection.send(words); !sent)
            return tl::unexpected(sent.error());
    }
    return watched;
}

// Takes note of connections that have ended. Waits up to 50 ms for one.
void observe(std::vector<Watched>& all) {
    std::vector<pollfd> wait;
    wait.reserve(all.size());
    for (const auto& watched : all)
        wait.push_back({watched.open ? watched.connection.descriptor() : -1, POLLIN | POLLRDHUP, 0});
    if (poll(wait.data(), wait.size(), 50) <= 0)
        return;
    for (std::size_t i = 0; i < all.size(); i++) {
        if (!wait[i].revents)
            continue;
        char byte = 0;
        const ssize_t n = recv(wait[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        all[i].open = false;
        all[i].result.by_itself = true;
        all[i].result.ended = now_realtime();
        // Bytes that nobody asked for would be somebody else's.
        all[i].result.outcome = n > 0 ? IdleOutcome::wrong : n == 0 ? IdleOutcome::closed : IdleOutcome::reset;
    }
}

IdleOutcome outcome_of(Broken broken) {
    switch (broken) {
    case Broken::timeout:
        return IdleOutcome::half_alive;
    case Broken::closed:
        return IdleOutcome::closed;
    default:
        return IdleOutcome::reset;
    }
}

// A quiet connection asks; for a waiting one, what it waits for is made to happen.
void use(Watched& watched, const Endpoint& endpoint, std::chrono::milliseconds patience) {
    watched.connection.set_reply_timeout(patience);
    auto answer = [&]() -> tl::expected<Reply, Broken> {
        if (watched.result.kind == IdleKind::quiet)
            return watched.connection.call({"ECHO", watched.key});
        auto other = RedisConnection::open(endpoint);
        if (other)
            static_cast<void>(other->call({"RPUSH", watched.key, watched.key}));
        return watched.connection.receive();
    }();
    watched.result.ended = now_realtime();
    if (!answer) {
        watched.result.outcome = outcome_of(answer.error());
        return;
    }
    const std::string& text = answer->type == Reply::Type::array && answer->elements.size() == 2
                                  ? answer->elements[1].text
                                  : answer->text;
    watched.result.outcome = text == watched.key ? IdleOutcome::works : IdleOutcome::wrong;
}

} // namespace

const char* name_of(IdleKind kind) {
    return kind == IdleKind::quiet ? "quiet" : "waiting";
}

const char* name_of(IdleOutcome outcome) {
    switch (outcome) {
    case IdleOutcome::reset:
        return "reset";
    case IdleOutcome::closed:
        return "closed";
    case IdleOutcome::works:
        return "works";
    case IdleOutcome::half_alive:
        return "half_alive";
    case IdleOutcome::wrong:
        break;
    }
    return "wrong";
}

tl::expected<std::vector<IdleConnection>, Broken> watch_idle(const std::atomic<bool>& stop,
                                                             std::atomic<bool>& ready, const Endpoint& endpoint,
                                                             const std::string& run, int count,
                                                             std::chrono::milliseconds patience) {
    std::vector<Watched> all;
    for (int i = 0; i < count; i++) {
        auto one = open_one(endpoint, run, i);
        if (!one)
            return tl::unexpected(one.error());
        all.push_back(std::move(*one));
    }
    ready = true;
    while (!stop)
        observe(all);
    std::vector<IdleConnection> results;
    for (auto& watched : all) {
        if (watched.open)
            use(watched, endpoint, patience);
        results.push_back(watched.result);
    }
    return results;
}

} // namespace drill
