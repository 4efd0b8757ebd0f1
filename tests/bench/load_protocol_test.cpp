// SPDX-License-Identifier: Apache-2.0
#include "load_protocol.h"

#include <gtest/gtest.h>

namespace {

using load::Answer;
using load::make_protocol;
using Kind = Answer::Kind;

// Every beginning of a right answer is incomplete, and what follows it is not part of it.
void expect_right(const load::Protocol& protocol, std::uint64_t n, const std::string& answer) {
    for (std::size_t length = 0; !protocol.datagrams() && length < answer.size(); ++length)
        ASSERT_EQ(protocol.parse(answer.substr(0, length), n).kind, Kind::incomplete) << length;
    const Answer whole = protocol.parse(protocol.datagrams() ? answer : answer + answer, n);
    EXPECT_EQ(whole.kind, Kind::right);
    EXPECT_EQ(whole.length, answer.size());
}

TEST(LoadProtocol, RedisKnowsWhatWasWritten) {
    const auto redis = make_protocol("redis");
    expect_right(*redis, 0, "+OK\r\n");
    EXPECT_EQ(redis->parse("-ERR\r\n", 0).kind, Kind::wrong);
    ASSERT_TRUE(redis->request(9).find("GET") != std::string::npos);
    expect_right(*redis, 9, "$-1\r\n");
    const std::string get = redis->request(9);
    const std::string key = get.substr(get.find("key"), get.rfind("\r\n") - get.find("key"));
    expect_right(*redis, 9, "$64\r\n" + key + std::string(64 - key.size(), 'x') + "\r\n");
    EXPECT_EQ(redis->parse("$64\r\n" + std::string(64, 'y') + "\r\n", 9).kind, Kind::wrong);
}

TEST(LoadProtocol, MemcachedAnswersWithTheKeysOwnValue) {
    const auto memcached = make_protocol("memcached");
    expect_right(*memcached, 2, "STORED\r\n");
    const std::string key = memcached->request(3).substr(4, memcached->request(3).size() - 6);
    const std::string value = key + std::string(64 - key.size(), 'x');
    expect_right(*memcached, 3, "VALUE " + key + " 0 64\r\n" + value + "\r\nEND\r\n");
    expect_right(*memcached, 3, "END\r\n");
    EXPECT_EQ(memcached->parse("VALUE " + key + " 0 64\r\n" + std::string(64, 'y') + "\r\nEND\r\n", 3).kind,
              Kind::wrong);
}

TEST(LoadProtocol, HttpReadsTheLength) {
    const auto http = make_protocol("http");
    const std::string header =
        "HTTP/1.1 200 OK\r\nServer: n\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";
    expect_right(*http, 0, header + std::string(1024, 'x'));
    EXPECT_EQ(http->parse(header + std::string(1023, 'x') + "y", 0).kind, Kind::wrong);
    EXPECT_EQ(http->parse("HTTP/1.1 404 Not Found\r\n", 0).kind, Kind::wrong);
}

TEST(LoadProtocol, DnsWantsItsOwnAnswer) {
    const auto dns = make_protocol("dns");
    std::string answer = dns->request(0x1203);
    answer[2] = '\x81';
    answer[3] = '\x80';
    answer += std::string("\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\x0a\x4d\x09\x03", 16);
    expect_right(*dns, 0x1203, answer);
    EXPECT_EQ(dns->parse(answer, 0x1204).kind, Kind::wrong);
    answer[3] = '\x83'; // no such name
    EXPECT_EQ(dns->parse(answer, 0x1203).kind, Kind::wrong);
}

TEST(LoadProtocol, OnlyTheKnown) {
    EXPECT_EQ(make_protocol("gopher"), nullptr);
}

} // namespace
