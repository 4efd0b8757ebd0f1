// SPDX-License-Identifier: Apache-2.0
#include "record/record_view.h"

#include <random>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "record/format.h"
#include "record_builder.h"

namespace tripod::record {
namespace {

using tripod::testing::RecordBuilder;
using Buffer = std::vector<std::byte>;

Buffer two_segments() {
    return RecordBuilder(SYS_accept4, TRIPOD_CLASS_accept, 6, 7)
        .segment(TRIPOD_SEG_arg, 1, "0123456789abcdef")
        .segment(TRIPOD_SEG_arg, 2, std::string_view("\x10\0\0\0", 4))
        .build();
}

template <typename T>
void put(Buffer& b, std::size_t offset, T value) {
    std::memcpy(b.data() + offset, &value, sizeof value);
}

RecordFault fault_of(const Buffer& bytes) {
    auto view = RecordView::parse(bytes);
    EXPECT_FALSE(view);
    return view ? RecordFault{255} : view.error().fault;
}

TEST(RecordView, GivesHeaderAndSegments) {
    const Buffer bytes = two_segments();
    auto view = RecordView::parse(bytes);
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->header().nr, SYS_accept4);
    EXPECT_EQ(view->header().result, 7);
    int count = 0;
    for (const SegmentView s : view->segments()) {
        EXPECT_EQ(s.arg, ++count);
    }
    EXPECT_EQ(count, 2);
    ASSERT_TRUE(view->segment(TRIPOD_SEG_arg, 2));
    EXPECT_EQ(view->segment(TRIPOD_SEG_arg, 2)->bytes.size(), 4u);
    EXPECT_FALSE(view->segment(TRIPOD_SEG_iov));
}

TEST(RecordView, ReadsFromAnyAlignment) {
    const Buffer bytes = two_segments();
    for (std::size_t shift = 0; shift < 8; shift++) {
        Buffer moved(shift + bytes.size());
        std::memcpy(moved.data() + shift, bytes.data(), bytes.size());
        auto view = RecordView::parse(std::span<const std::byte>(moved).subspan(shift));
        ASSERT_TRUE(view);
        EXPECT_EQ(view->header().seq, 1u);
    }
}

TEST(RecordView, RefusesWhatDoesNotFit) {
    const Buffer good = two_segments();
    constexpr std::size_t segments = sizeof(tripod_record);
    for (std::size_t n = 0; n < good.size(); n++)
        EXPECT_EQ(fault_of(Buffer(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n))),
                  RecordFault::truncated);

    Buffer b = good;
    put(b, 0, std::uint32_t{80});
    EXPECT_EQ(fault_of(b), RecordFault::size) << "smaller than its header";
    b = good;
    put(b, 0, static_cast<std::uint32_t>(good.size() - 4));
    EXPECT_EQ(fault_of(b), RecordFault::size) << "not a multiple of 8";
    b = good;
    put(b, 0, std::uint32_t{0xfffffff8});
    EXPECT_EQ(fault_of(b), RecordFault::size);
    b = good;
    put(b, 0, static_cast<std::uint32_t>(good.size() + 8));
    EXPECT_EQ(fault_of(b), RecordFault::truncated);
    b = good;
    put(b, 4, std::uint16_t{3});
    EXPECT_EQ(fault_of(b), RecordFault::type);
    b = good;
    put(b, segments, std::uint16_t{9});
    EXPECT_EQ(fault_of(b), RecordFault::segments) << "unknown kind";
    b = good;
    put(b, segments + 2, std::uint16_t{6});
    EXPECT_EQ(fault_of(b), RecordFault::segments) << "there is no seventh argument";
    for (std::uint32_t length : {0u, 24u, 32u, 33u, 0xfffffff9u, 0xffffffffu}) {
        b = good;
        put(b, segments + 4, length);
        EXPECT_EQ(fault_of(b), RecordFault::segments) << length;
    }
    for (int count : {0, 1, 3, 17, 65535}) {
        b = good;
        put(b, offsetof(tripod_record, segments), static_cast<std::uint16_t>(count));
        EXPECT_EQ(fault_of(b), RecordFault::segments) << count;
    }
    const Buffer short_socket =
        RecordBuilder(SYS_accept, TRIPOD_CLASS_accept, 6, 7).segment(TRIPOD_SEG_socket, 0, "short").build();
    EXPECT_EQ(fault_of(short_socket), RecordFault::segments);
}

TEST(RecordReader, WalksRecordsAndSkipsPads) {
    Buffer all = two_segments();
    const Buffer one = all;
    Buffer pad(24);
    put(pad, 0, std::uint32_t{24});
    all.insert(all.end(), pad.begin(), pad.end());
    all.insert(all.end(), one.begin(), one.end());
    RecordReader reader(all);
    EXPECT_TRUE(reader.next()->has_value());
    EXPECT_EQ(reader.offset(), one.size());
    EXPECT_TRUE(reader.next()->has_value());
    EXPECT_FALSE(reader.next()->has_value());
    EXPECT_EQ(reader.offset(), all.size());

    all.push_back(std::byte{1});
    RecordReader broken(all);
    EXPECT_TRUE(broken.next());
    EXPECT_TRUE(broken.next());
    auto end = broken.next();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().offset, all.size() - 1);
    EXPECT_FALSE(broken.next()) << "an error stays";
}

// Meant for a build with SANITIZE=address,undefined, where one byte read outside ends the test.
TEST(RecordView, MutatedRecordsAreReadWithoutHarm) {
    const std::uint64_t seed = 99;
    std::mt19937_64 rng(seed);
    const tripod_socket socket{};
    const tripod_msghdr msghdr{16, 0, 0};
    std::vector<Buffer> samples{two_segments()};
    const std::uint16_t calls[] = {SYS_read,          SYS_write,        SYS_readv,      SYS_recvmsg,
                                   SYS_accept4,       SYS_poll,         SYS_epoll_wait, SYS_getsockopt,
                                   SYS_clock_gettime, SYS_gettimeofday, SYS_getrandom,  SYS_time,
                                   SYS_getpeername,   SYS_select,       SYS_sendmsg};
    for (std::uint16_t nr : calls)
        samples.push_back(RecordBuilder(nr, TRIPOD_CLASS_input, 7, 3)
                              .segment(TRIPOD_SEG_arg, 0, "abcdefghijklmnop")
                              .segment(TRIPOD_SEG_arg, 1, "abcdefgh\x02\0ijkl")
                              .segment(TRIPOD_SEG_iov, 1, "\xff\xfe\x01")
                              .segment(TRIPOD_SEG_msghdr, 1, &msghdr, sizeof msghdr)
                              .segment(TRIPOD_SEG_name, 1, std::string_view("\x02\0\x12", 3))
                              .segment(TRIPOD_SEG_socket, 0, &socket, sizeof socket)
                              .build());
    int parsed = 0;
    for (int round = 0; round < 40000; round++) {
        Buffer b = samples[rng() % samples.size()];
        for (std::size_t k = rng() % 4; k--;)
            b[rng() % b.size()] = static_cast<std::byte>(rng());
        if (rng() % 8 == 0)
            b.resize(rng() % b.size());
        b.shrink_to_fit();
        auto view = RecordView::parse(b);
        if (!view)
            continue;
        parsed++;
        const std::string line = format_record(*view, {.timestamps = Timestamps::clock_us});
        for (char c : line + format_record_json(*view, {}))
            ASSERT_TRUE(c >= 0x20 && c < 0x7f) << "seed " << seed << " round " << round << ": " << line;
    }
    EXPECT_GT(parsed, 10000) << "the test must reach the formatter";
}

} // namespace
} // namespace tripod::record
