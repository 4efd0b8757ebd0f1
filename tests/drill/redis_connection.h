// SPDX-License-Identifier: Apache-2.0
//
// One connection to a redis server, with bounded waits. Not for use by several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

struct redisContext;

namespace drill {

struct Endpoint {
    std::string host = "127.0.0.1";
    int port = 6379;
    std::chrono::milliseconds connect_timeout{200};
    std::chrono::milliseconds reply_timeout{2000};
};

// Why there is no answer. After any of these the connection is of no more use.
enum class Broken : std::uint8_t { reset, closed, timeout, unreachable, protocol };

struct Reply {
    enum class Type : std::uint8_t { status, error, integer, string, nil, array };
    Type type{};
    std::string text;
    std::int64_t integer = 0;
    std::vector<Reply> elements;
};

class RedisConnection {
  public:
    // Fails with Broken::unreachable.
    static tl::expected<RedisConnection, Broken> open(const Endpoint& endpoint);

    // Sends one command and waits for its answer. An error that the server answers is a Reply, not a Broken.
    tl::expected<Reply, Broken> call(std::span<const std::string> words);
    tl::expected<Reply, Broken> call(std::initializer_list<std::string> words) {
        return call(std::vector<std::string>(words));
    }

    // The two halves of call, for a connection that waits.
    tl::expected<void, Broken> send(std::span<const std::string> words);
    tl::expected<Reply, Broken> receive();

    void set_reply_timeout(std::chrono::milliseconds timeout);
    [[nodiscard]] int descriptor() const;

  private:
    struct Free {
        void operator()(redisContext* context) const;
    };
    explicit RedisConnection(redisContext* context) : context_(context) {}
    [[nodiscard]] Broken reason() const;

    std::unique_ptr<redisContext, Free> context_;
};

} // namespace drill
