// SPDX-License-Identifier: Apache-2.0
#include "read_back.h"

#include <algorithm>
#include <thread>

namespace drill {

std::optional<Contents> read_back(const Endpoint& endpoint, const std::vector<std::string>& keys,
                                  std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    constexpr std::size_t batch = 100;
    Contents contents;
    std::optional<RedisConnection> connection;
    for (std::size_t at = 0; at < keys.size();) {
        if (std::chrono::steady_clock::now() > deadline)
            return std::nullopt;
        if (!connection) {
            auto opened = RedisConnection::open(endpoint);
            if (!opened) {
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                continue;
            }
            connection.emplace(std::move(*opened));
        }
        std::vector<std::string> words{"MGET"};
        const std::size_t end = std::min(at + batch, keys.size());
        words.insert(words.end(), keys.begin() + static_cast<std::ptrdiff_t>(at),
                     keys.begin() + static_cast<std::ptrdiff_t>(end));
        const auto reply = connection->call(words);
        if (!reply) {
            connection.reset();
            continue;
        }
        if (reply->type != Reply::Type::array || reply->elements.size() != end - at)
            return std::nullopt;
        for (std::size_t i = at; i < end; i++)
            if (reply->elements[i - at].type == Reply::Type::string)
                contents[keys[i]] = reply->elements[i - at].text;
        at = end;
    }
    return contents;
}

} // namespace drill
