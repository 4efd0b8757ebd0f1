// SPDX-License-Identifier: Apache-2.0
#include "redis_connection.h"

#include <cerrno>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace drill {

namespace {

timeval to_timeval(std::chrono::milliseconds time) {
    return {.tv_sec = time.count() / 1000, .tv_usec = (time.count() % 1000) * 1000};
}

Reply convert(const redisReply& from) {
    Reply reply;
    switch (from.type) {
    case REDIS_REPLY_STATUS:
        reply.type = Reply::Type::status;
        break;
    case REDIS_REPLY_ERROR:
        reply.type = Reply::Type::error;
        break;
    case REDIS_REPLY_INTEGER:
        reply.type = Reply::Type::integer;
        break;
    case REDIS_REPLY_STRING:
        reply.type = Reply::Type::string;
        break;
    case REDIS_REPLY_ARRAY:
        reply.type = Reply::Type::array;
        break;
    default:
        reply.type = Reply::Type::nil;
        break;
    }
    if (from.str)
        reply.text.assign(from.str, from.len);
    reply.integer = from.integer;
    for (std::size_t i = 0; i < from.elements; i++)
        reply.elements.push_back(convert(*from.element[i]));
    return reply;
}

} // namespace

void RedisConnection::Free::operator()(redisContext* context) const {
    redisFree(context);
}

tl::expected<RedisConnection, Broken> RedisConnection::open(const Endpoint& endpoint) {
    redisContext* context =
        redisConnectWithTimeout(endpoint.host.c_str(), endpoint.port, to_timeval(endpoint.connect_timeout));
    if (!context)
        return tl::unexpected(Broken::unreachable);
    RedisConnection connection(context);
    if (context->err)
        return tl::unexpected(Broken::unreachable);
    connection.set_reply_timeout(endpoint.reply_timeout);
    const int one = 1;
    setsockopt(context->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connection;
}

void RedisConnection::set_reply_timeout(std::chrono::milliseconds timeout) {
    redisSetTimeout(context_.get(), to_timeval(timeout));
}

int RedisConnection::descriptor() const {
    return context_->fd;
}

// Must be called before anything else can change errno.
Broken RedisConnection::reason() const {
    if (context_->err == REDIS_ERR_EOF)
        return Broken::closed;
    if (context_->err != REDIS_ERR_IO)
        return Broken::protocol;
    return errno == EAGAIN || errno == ETIMEDOUT ? Broken::timeout : Broken::reset;
}

tl::expected<void, Broken> RedisConnection::send(std::span<const std::string> words) {
    std::vector<const char*> pointers;
    std::vector<std::size_t> lengths;
    for (const auto& word : words) {
        pointers.push_back(word.data());
        lengths.push_back(word.size());
    }
    if (redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), pointers.data(), lengths.data()) !=
        REDIS_OK)
        return tl::unexpected(Broken::protocol);
    for (int done = 0; !done;) {
        if (redisBufferWrite(context_.get(), &done) != REDIS_OK)
            return tl::unexpected(reason());
    }
    return {};
}

tl::expected<Reply, Broken> RedisConnection::receive() {
    void* raw = nullptr;
    if (redisGetReply(context_.get(), &raw) != REDIS_OK)
        return tl::unexpected(reason());
    const std::unique_ptr<void, decltype(&freeReplyObject)> owner(raw, &freeReplyObject);
    return convert(*static_cast<redisReply*>(raw));
}

tl::expected<Reply, Broken> RedisConnection::call(std::span<const std::string> words) {
    if (auto sent = send(words); !sent)
        return tl::unexpected(sent.error());
    return receive();
}

} // namespace drill
