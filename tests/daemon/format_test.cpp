// SPDX-License-Identifier: Apache-2.0
//
// The lines were written by hand after what strace 6.1 prints for such calls.
#include "record/format.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "record_builder.h"

namespace tripod::record {
namespace {

using tripod::testing::RecordBuilder;

std::string line(RecordBuilder& builder, FormatOptions options = {}) {
    const auto bytes = builder.build();
    auto view = RecordView::parse(bytes);
    EXPECT_TRUE(view) << view.error().message;
    return view ? format_record(*view, options) : "";
}
std::string line(RecordBuilder&& builder, FormatOptions options = {}) {
    return line(builder, options);
}

sockaddr_in peer() {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(40000);
    inet_pton(AF_INET, "10.0.0.9", &in.sin_addr);
    return in;
}

TEST(Format, Read) {
    RecordBuilder r(SYS_read, TRIPOD_CLASS_input, 7, 41);
    r.args(7, 0x7f0000001000, 16384);
    r.segment(TRIPOD_SEG_arg, 1, "*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$9\r\nvalue:001\r\n");
    EXPECT_EQ(line(r),
              "[pid 231] read(7, \"*3\\r\\n$3\\r\\nSET\\r\\n$5\\r\\nkey:1\\r\\n$9\\r\\nvalu\"..., 16384) = 41");
    EXPECT_EQ(line(r, {.string_max = 4}), "[pid 231] read(7, \"*3\\r\\n\"..., 16384) = 41");
    EXPECT_EQ(line(r, {.string_max = 0}), "[pid 231] read(7, \"\"..., 16384) = 41");
}

TEST(Format, EscapesAsInC) {
    RecordBuilder r(SYS_read, TRIPOD_CLASS_input, 7, 9);
    r.args(7, 0x1000, 9).segment(TRIPOD_SEG_arg, 1, std::string_view("\0001\1x\"\\\xff\x7f\t", 9));
    EXPECT_EQ(line(r), "[pid 231] read(7, \"\\0001\\1x\\\"\\\\\\377\\177\\t\", 9) = 9");
}

TEST(Format, EndOfFileAndErrors) {
    EXPECT_EQ(line(RecordBuilder(SYS_read, TRIPOD_CLASS_input, 7, 0).args(7, 0x7f01, 16384)),
              "[pid 231] read(7, \"\", 16384) = 0");
    EXPECT_EQ(line(RecordBuilder(SYS_read, TRIPOD_CLASS_input, 7, -11).args(7, 0x7f01, 16384)),
              "[pid 231] read(7, 0x7f01, 16384) = -1 EAGAIN (Resource temporarily unavailable)");
    EXPECT_EQ(line(RecordBuilder(SYS_epoll_wait, TRIPOD_CLASS_wait, -1, -512).args(5, 0x7f01, 10)),
              "[pid 231] epoll_wait(5, 0x7f01, 10, ...) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
}

TEST(Format, OutputsHaveLengthAndDigest) {
    RecordBuilder r(SYS_write, TRIPOD_CLASS_output, 7, 5);
    r.args(7, 0x7f01, 5);
    r.header.length = 5;
    r.header.digest = 0xabc;
    EXPECT_EQ(line(r), "[pid 231] write(7, <5 bytes, xxh64 0x0000000000000abc>, 5) = 5");
    EXPECT_EQ(line(RecordBuilder(SYS_write, TRIPOD_CLASS_output, 7, -32).args(7, 0x7f01, 5)),
              "[pid 231] write(7, 0x7f01, 5) = -1 EPIPE (Broken pipe)");
    RecordBuilder v(SYS_writev, TRIPOD_CLASS_output, 7, 20);
    v.args(7, 0x7f01, 3);
    v.header.length = 20;
    EXPECT_EQ(line(v), "[pid 231] writev(7, <20 bytes, xxh64 0x0000000000000000>, 3) = 20");
}

TEST(Format, EpollWait) {
    struct __attribute__((packed)) Event {
        std::uint32_t events;
        std::uint64_t data;
    };
    const Event events[] = {{EPOLLIN, 7}, {EPOLLIN | EPOLLHUP | 0x8000000, (1ull << 32) | 9}};
    RecordBuilder r(SYS_epoll_wait, TRIPOD_CLASS_wait, -1, 2);
    r.args(5, 0x7f01, 10128).segment(TRIPOD_SEG_arg, 1, events, sizeof events);
    EXPECT_EQ(line(r), "[pid 231] epoll_wait(5, [{EPOLLIN, {u32=7, u64=7}}, {EPOLLIN|EPOLLHUP|0x8000000, "
                       "{u32=9, u64=4294967305}}], 10128, ...) = 2");
    EXPECT_EQ(line(RecordBuilder(SYS_epoll_wait, TRIPOD_CLASS_wait, -1, 0).args(5, 0x7f01, 10128)),
              "[pid 231] epoll_wait(5, [], 10128, ...) = 0");
}

TEST(Format, AcceptShowsThePeer) {
    const sockaddr_in in = peer();
    RecordBuilder asked(SYS_accept4, TRIPOD_CLASS_accept, 6, 7);
    asked.args(6, 0x7f01, 0x7f02).segment(TRIPOD_SEG_arg, 1, &in, sizeof in);
    asked.segment(TRIPOD_SEG_arg, 2, std::string_view("\x10\0\0\0", 4));
    EXPECT_EQ(line(asked), "[pid 231] accept4(6, {sa_family=AF_INET, sin_port=htons(40000), "
                           "sin_addr=inet_addr(\"10.0.0.9\")}, [16], ...) = 7");

    tripod_socket socket{};
    socket.family = AF_INET;
    socket.type = SOCK_STREAM;
    socket.state = 1;
    socket.local_port = 6379;
    socket.remote_port = 40000;
    std::memcpy(socket.remote_addr, &in.sin_addr, 4);
    RecordBuilder silent(SYS_accept, TRIPOD_CLASS_accept, 6, 7);
    silent.args(6, 0, 0).segment(TRIPOD_SEG_socket, 0, &socket, sizeof socket);
    EXPECT_EQ(line(silent), "[pid 231] accept(6, NULL, NULL) = 7 <from 10.0.0.9:40000>");

    RecordBuilder announced(0, 0, 8, 0);
    announced.header.type = TRIPOD_REC_socket;
    announced.segment(TRIPOD_SEG_socket, 0, &socket, sizeof socket);
    EXPECT_EQ(line(announced), "[pid 231] +++ has socket 8: AF_INET SOCK_STREAM local 0.0.0.0:6379 remote "
                               "10.0.0.9:40000 ESTABLISHED +++");
}

TEST(Format, Values) {
    const timespec ts{1700000000, 123456789};
    EXPECT_EQ(line(RecordBuilder(SYS_clock_gettime, TRIPOD_CLASS_value, -1, 0)
                       .args(CLOCK_MONOTONIC, 0x7f01, 0)
                       .segment(TRIPOD_SEG_arg, 1, &ts, sizeof ts)),
              "[pid 231] clock_gettime(CLOCK_MONOTONIC, {tv_sec=1700000000, tv_nsec=123456789}) = 0");
    EXPECT_EQ(line(RecordBuilder(SYS_gettimeofday, TRIPOD_CLASS_value, -1, 0)
                       .args(0x7f01, 0, 0)
                       .segment(TRIPOD_SEG_arg, 0, &ts, sizeof ts)),
              "[pid 231] gettimeofday({tv_sec=1700000000, tv_usec=123456789}, NULL) = 0");
    EXPECT_EQ(line(RecordBuilder(SYS_time, TRIPOD_CLASS_value, -1, 1700000000).args(0, 0, 0)),
              "[pid 231] time(NULL) = 1700000000");
    EXPECT_EQ(line(RecordBuilder(SYS_getrandom, TRIPOD_CLASS_value, -1, 3)
                       .args(0x7f01, 3, 1)
                       .segment(TRIPOD_SEG_arg, 0, "abc")),
              "[pid 231] getrandom(\"abc\", 3, 0x1) = 3");
}

TEST(Format, SocketCalls) {
    EXPECT_EQ(line(RecordBuilder(SYS_close, TRIPOD_CLASS_mirror, 7, 0)), "[pid 231] close(7) = 0");
    EXPECT_EQ(line(RecordBuilder(SYS_shutdown, TRIPOD_CLASS_socket, 7, -107).args(7, 1, 0)),
              "[pid 231] shutdown(7, SHUT_WR) = -1 ENOTCONN (Transport endpoint is not connected)");
    EXPECT_EQ(
        line(RecordBuilder(SYS_socket, TRIPOD_CLASS_mirror, -1, 8).args(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 6)),
        "[pid 231] socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6) = 8");
    EXPECT_EQ(line(RecordBuilder(SYS_getsockopt, TRIPOD_CLASS_socket, 7, 0)
                       .args(7, SOL_SOCKET, SO_ERROR)
                       .segment(TRIPOD_SEG_arg, 3, std::string_view("\0\0\0\0", 4))
                       .segment(TRIPOD_SEG_arg, 4, std::string_view("\4\0\0\0", 4))),
              "[pid 231] getsockopt(7, SOL_SOCKET, SO_ERROR, [0], [4]) = 0");
    const tripod_msghdr msghdr{0, 0, 0};
    EXPECT_EQ(
        line(RecordBuilder(SYS_recvmsg, TRIPOD_CLASS_input, 7, 2)
                 .args(7, 0x7f01, 0x40)
                 .segment(TRIPOD_SEG_msghdr, 1, &msghdr, sizeof msghdr)
                 .segment(TRIPOD_SEG_iov, 1, "hi")),
        "[pid 231] recvmsg(7, {msg_name=NULL, msg_namelen=0, msg_iov=[\"hi\"], msg_controllen=0, msg_flags=0x0}, "
        "0x40) = 2");
    EXPECT_EQ(line(RecordBuilder(500, TRIPOD_CLASS_value, -1, 3).args(1, 2, 3)),
              "[pid 231] syscall_500(0x1, 0x2, 0x3, ...) = 3");
}

TEST(Format, TimestampsAreWallTime) {
    RecordBuilder r(SYS_close, TRIPOD_CLASS_mirror, 7, 0);
    r.header.time_ns = 5'000'001'000;
    EXPECT_EQ(line(r, {.timestamps = Timestamps::epoch_us, .realtime_offset_ns = 1'700'000'000'000'000'000}),
              "[pid 231] 1700000005.000001 close(7) = 0");
}

TEST(Format, JsonHasEverything) {
    RecordBuilder r(SYS_read, TRIPOD_CLASS_input, 7, 3);
    r.args(7, 0x7f01, 16384).segment(TRIPOD_SEG_arg, 1, std::string_view("a\xff\0", 3));
    r.header.time_ns = 5;
    const auto bytes = r.build();
    const std::string text = format_record_json(*RecordView::parse(bytes), {.realtime_offset_ns = 100});
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["name"], "read");
    EXPECT_EQ(json["class"], "input");
    EXPECT_EQ(json["seq"], 1);
    EXPECT_EQ(json["tid"], 231);
    EXPECT_EQ(json["tgid"], 230);
    EXPECT_EQ(json["fd"], 7);
    EXPECT_EQ(json["result"], 3);
    EXPECT_EQ(json["time_ns"], 5);
    EXPECT_EQ(json["realtime_ns"], 105);
    EXPECT_EQ(json["args"][2], "0x4000");
    EXPECT_EQ(json["segments"][0]["hex"], "61ff00");
    EXPECT_FALSE(json.contains("digest"));

    RecordBuilder w(SYS_write, TRIPOD_CLASS_output, 7, 5);
    w.header.length = 5;
    w.header.digest = 0xabc;
    const auto output = w.build();
    const auto w_json = nlohmann::json::parse(format_record_json(*RecordView::parse(output), {}));
    EXPECT_EQ(w_json["digest"], "0x0000000000000abc");
    EXPECT_EQ(w_json["length"], 5);

    const auto failed = RecordBuilder(SYS_read, TRIPOD_CLASS_input, 7, -11).build();
    EXPECT_EQ(nlohmann::json::parse(format_record_json(*RecordView::parse(failed), {}))["errno"], "EAGAIN");
}

} // namespace
} // namespace tripod::record
