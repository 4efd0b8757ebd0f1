// SPDX-License-Identifier: Apache-2.0
//
// The smaller parts of the daemon's core: connection tracking, the state stream, messages between daemons, trace
// feeds.
#include <random>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../record_builder.h"
#include "fake_xen.h"
#include "peer/messages.h"
#include "peer/state_codec.h"
#include "replicate/connections.h"
#include "vm/trace_feed.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;
using testing::RecordBuilder;

tripod_socket connection(uint16_t remote_port, uint16_t state = 1) {
    tripod_socket socket{};
    socket.family = AF_INET;
    socket.type = SOCK_STREAM;
    socket.state = state;
    socket.local_port = 6379;
    socket.remote_port = remote_port;
    return socket;
}

class Connections : public ::testing::Test {
  protected:
    void feed(RecordBuilder& builder) {
        const auto bytes = builder.build();
        const auto view = record::RecordView::parse(bytes);
        ASSERT_TRUE(view);
        table.apply(*view);
    }
    void announce(int32_t fd, const tripod_socket& socket) {
        RecordBuilder builder(0, 0, fd, 0);
        builder.header.type = TRIPOD_REC_socket;
        builder.segment(TRIPOD_SEG_socket, 0, &socket, sizeof socket);
        feed(builder);
    }
    void accept(int64_t result, const tripod_socket& socket) {
        RecordBuilder builder(SYS_accept4, TRIPOD_CLASS_accept, 6, result);
        builder.segment(TRIPOD_SEG_socket, 0, &socket, sizeof socket);
        feed(builder);
    }
    void close(int32_t fd, uint32_t tgid = 230) {
        RecordBuilder builder(SYS_close, TRIPOD_CLASS_mirror, fd, 0);
        builder.header.tgid = tgid;
        feed(builder);
    }
    replicate::ConnectionTable table;
};

TEST_F(Connections, AcceptedAndAnnouncedOnesAreFollowedUntilTheirClose) {
    announce(8, connection(1000));
    accept(9, connection(2000));
    accept(10, connection(3000));
    close(9);
    const auto open = table.open();
    ASSERT_EQ(open.size(), 2u);
    EXPECT_EQ(open[0].socket.remote_port, 1000);
    EXPECT_TRUE(open[0].preexisting);
    EXPECT_EQ(open[1].socket.remote_port, 3000);
    EXPECT_FALSE(open[1].preexisting);
}

TEST_F(Connections, ListenersFailedAcceptsAndOtherProcessesDoNotCount) {
    announce(6, connection(0, 10));
    accept(-11, connection(2000));
    EXPECT_EQ(table.size(), 0u);
    accept(9, connection(2000));
    close(9, 999);
    EXPECT_EQ(table.size(), 1u) << "another process' descriptor of the same number";
}

TEST_F(Connections, ADescriptorUsedAgainIsTheNewConnection) {
    announce(8, connection(1000));
    close(8);
    accept(8, connection(2000));
    ASSERT_EQ(table.size(), 1u);
    EXPECT_FALSE(table.open()[0].preexisting);
}

TEST(StateCodec, WhatGoesInComesOut) {
    peer::StateEncoder encoder;
    peer::StateDecoder decoder;
    std::mt19937 random(3);
    std::vector<std::byte> in, out;
    for (const size_t size : {size_t{1}, size_t{4096}, peer::chunk_raw_max}) {
        std::vector<std::byte> piece(size);
        for (auto& byte : piece)
            byte = static_cast<std::byte>(random() % 7 == 0 ? random() : 0);
        in.insert(in.end(), piece.begin(), piece.end());
        const auto got = decoder.decode(encoder.encode(piece));
        ASSERT_TRUE(got) << got.error().message;
        out.insert(out.end(), got->begin(), got->end());
    }
    EXPECT_EQ(in, out);
    EXPECT_TRUE(decoder.finish(encoder.finish()));
    EXPECT_EQ(encoder.finish().raw_bytes, in.size());
}

TEST(StateCodec, ALostRepeatedOrForeignChunkIsFound) {
    peer::StateEncoder encoder;
    const std::vector<std::byte> piece(1000, std::byte{5});
    const auto copy = [](std::span<const std::byte> bytes) {
        return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
    const auto first = copy(encoder.encode(piece));
    const auto second = copy(encoder.encode(piece));
    const auto end = encoder.finish();

    peer::StateDecoder lost;
    EXPECT_FALSE(lost.decode(second));
    peer::StateDecoder repeated;
    ASSERT_TRUE(repeated.decode(first));
    EXPECT_FALSE(repeated.decode(first));
    EXPECT_FALSE(repeated.finish(end)) << "half of the stream";
    peer::StateDecoder hostile;
    auto bad = first;
    bad[11] = std::byte{0x7f}; // claims 2 GiB
    EXPECT_FALSE(hostile.decode(bad));
    for (size_t size = 0; size < first.size(); ++size)
        EXPECT_FALSE(peer::StateDecoder().decode(std::span(first).first(size))) << size;
}

TEST(StateCodec, TheDigestCoversTheContent) {
    peer::StateEncoder one, other;
    peer::StateDecoder decoder;
    const std::vector<std::byte> a(1000, std::byte{5}), b(1000, std::byte{6});
    ASSERT_TRUE(decoder.decode(one.encode(a)));
    other.encode(b);
    EXPECT_FALSE(decoder.finish(other.finish()));
}

peer::Prepare sample_prepare() {
    peer::Prepare prepare;
    prepare.vm = "web1";
    prepare.uuid = "7d9f1c5e-0000-0000-0000-000000000001";
    prepare.primary = "h1";
    prepare.group[3] = 0xab;
    prepare.replica = 2;
    prepare.config_json = "{\"c_info\": {\"name\": \"web1\\n\"}}";
    prepare.bridges = {{0, "front"}, {1, "back"}};
    prepare.profile.current_task = 0x1fb00;
    prepare.ring_pages = 256;
    prepare.log_bytes = 16 << 20;
    prepare.timing.lease_ms = 77;
    prepare.timing.slow_backup_ms = 88;
    return prepare;
}

TEST(Messages, ArriveAsTheyWereSent) {
    const auto sent = sample_prepare();
    const auto got = peer::parse_prepare(peer::to_json(sent));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(peer::to_json(*got), peer::to_json(sent));
    EXPECT_EQ(got->profile.current_task, sent.profile.current_task);
    EXPECT_EQ(got->bridges, sent.bridges);
    EXPECT_EQ(peer::parse_op(peer::to_json(sent)), "prepare");

    const peer::Start start{{{1, "h1", "10.78.0.1", 4000}, {2, "h2", "10.78.0.2", 4001}}, 1};
    const auto got_start = peer::parse_start(peer::to_json(start));
    ASSERT_TRUE(got_start);
    EXPECT_EQ(got_start->members[1].port, 4001);

    peer::Hello hello;
    hello.host = "h1";
    hello.refusal = "no RDMA device";
    EXPECT_FALSE(peer::parse_hello(peer::to_json(hello))->xen_interface_version);
    hello.xen_interface_version = 1;
    EXPECT_EQ(peer::parse_hello(peer::to_json(hello))->xen_interface_version, 1u);

    peer::Diverged diverged{"web1", {}, "h2", "it strayed", {}};
    EXPECT_FALSE(peer::parse_diverged(peer::to_json(diverged))->applied);
    diverged.applied = 17;
    EXPECT_EQ(peer::parse_diverged(peer::to_json(diverged))->applied, 17u);

    const std::vector<std::string> hosts = {"h1", "h3"};
    EXPECT_EQ(*peer::parse_unreached(peer::unreached_json(hosts)), hosts);

    const Error error{ErrorCode::backup_refused, "no room", "make some"};
    EXPECT_EQ(peer::parse_error(peer::error_json(error), "h2").message, "h2: no room");
}

TEST(Messages, BytesThatAreNotUtf8AreReplacedNotThrown) {
    auto prepare = sample_prepare();
    prepare.vm = "web\xff";
    EXPECT_EQ(peer::parse_prepare(peer::to_json(prepare))->vm, "web\xef\xbf\xbd");
    peer::Hello hello;
    hello.host = "h\xc3";
    EXPECT_TRUE(peer::parse_hello(peer::to_json(hello)));
    EXPECT_TRUE(peer::parse_diverged(peer::to_json(peer::Diverged{"\x80", {}, "\x80", "\x80", {}})));
    EXPECT_TRUE(peer::parse_hand_over(peer::to_json(peer::HandOver{"\x80", {}, 1})));
    EXPECT_TRUE(peer::parse_whereabouts(peer::to_json(peer::Whereabouts{"\x80", "\x80"})));
    EXPECT_TRUE(peer::parse_start(peer::to_json(peer::Start{{{1, "\x80", "\x80", 1}}, 1})));
    EXPECT_TRUE(peer::parse_unreached(peer::unreached_json({"\x80"})));
}

TEST(Messages, WrongShapesAreErrorsNotCrashes) {
    for (const char* text :
         {"", "[]", "{", "{}", "7", "null", "{\"op\":7}", "{\"members\":{}}", "{\"op\":\"prepare\"}"}) {
        EXPECT_FALSE(peer::parse_prepare(text)) << text;
        EXPECT_FALSE(peer::parse_start(text)) << text;
        EXPECT_FALSE(peer::parse_hello(text)) << text;
        EXPECT_FALSE(peer::parse_state_end(text)) << text;
        EXPECT_FALSE(peer::parse_diverged(text)) << text;
        EXPECT_FALSE(peer::parse_unreached(text)) << text;
    }
    const std::string good = peer::to_json(sample_prepare());
    for (const auto& [from, to] :
         std::vector<std::pair<std::string, std::string>>{{"\"replica\":2", "\"replica\":-2"},
                                                          {"\"replica\":2", "\"replica\":2.5"},
                                                          {"\"replica\":2", "\"replica\":256"},
                                                          {"\"replica\":2", "\"replica\":0"},
                                                          {"\"vm\":\"web1\"", "\"vm\":\"\""},
                                                          {"\"vm\":\"web1\"", "\"vm\":\"a\\u0000b\""},
                                                          {"\"group\":\"", "\"group\":\"zz"},
                                                          {"\"ring_pages\":256", "\"ring_pages\":4294967296"},
                                                          {"\"slow_backup_ms\":88", "\"slow\":88"},
                                                          {"\"lease_ms\":77", "\"lease_ms\":99999999999"}}) {
        std::string bad = good;
        const auto at = bad.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        bad.replace(at, from.size(), to);
        EXPECT_FALSE(peer::parse_prepare(bad)) << to;
    }
    EXPECT_EQ(peer::parse_error("nonsense", "h2").code, ErrorCode::protocol);
}

TEST(TraceFeed, IsBoundedAndTellsWhatIsMissing) {
    vm::TraceFeed feed;
    const auto record = testing::numbered_read(0, 60'000);
    size_t put = 0;
    while (put * record.size() < vm::TraceFeed::bytes_max + 10 * record.size()) {
        feed.put(record);
        ++put;
    }
    size_t taken = 0;
    uint64_t dropped = 0;
    while (dropped == 0) {
        const auto got = feed.take(0ms, 200'000);
        ASSERT_EQ(got.bytes.size() % record.size(), 0u) << "whole records only";
        ASSERT_LE(got.bytes.size(), 200'000u);
        taken += got.bytes.size() / record.size();
        dropped = got.dropped;
    }
    EXPECT_EQ(taken + dropped, put);
    feed.put(record);
    EXPECT_EQ(feed.take(0ms, 200'000).bytes, record) << "it goes on after the gap";
    feed.close();
    EXPECT_TRUE(feed.take(10s, 1).closed);
}

} // namespace
} // namespace tripod
