// SPDX-License-Identifier: Apache-2.0
#include "events/events.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/log.h"

namespace tripod {
namespace {

std::int64_t fake_now = 0;

TEST(Events, KeepsTheNewestOfEachVmInOrder) {
    log::set_level(log::Level::error);
    fake_now = 0;
    Events events(3, [] { return ++fake_now; });
    for (const char* name : {"a", "b", "c", "d"})
        events.add("web1", name, name);
    events.add("web2", event::live);
    const auto web1 = events.of("web1");
    ASSERT_EQ(web1.size(), 3u);
    EXPECT_EQ(web1[0].name, "b");
    EXPECT_EQ(web1[0].detail, "b");
    EXPECT_EQ(web1[2].time_ns, 4);
    EXPECT_EQ(events.last_ns("web2", event::live), 5);
    EXPECT_EQ(events.last_ns("web2", event::drained), 0);
    EXPECT_TRUE(events.of("web9").empty());
    events.forget("web1");
    EXPECT_TRUE(events.of("web1").empty());
    EXPECT_EQ(events.of("web2").size(), 1u);
    log::set_level(log::Level::info);
}

TEST(Log, ALineCannotBeForged) {
    ::testing::internal::CaptureStderr();
    log::warning("{}", "one\ntwo");
    log::debug("not shown");
    const std::string text = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("one two\n"), std::string::npos);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(ErrorCode, NamesAreDistinctAndNumbersComeBack) {
    EXPECT_EQ(error_code_from_number(0), ErrorCode::other);
    EXPECT_EQ(error_code_from_number(2), ErrorCode::other);
    EXPECT_EQ(error_code_from_number(999), ErrorCode::other);
    for (int a = 3; a <= 17; a++) {
        EXPECT_EQ(static_cast<int>(error_code_from_number(a)), a);
        for (int b = 3; b < a; b++)
            EXPECT_STRNE(error_code_name(ErrorCode(a)), error_code_name(ErrorCode(b)));
    }
}

} // namespace
} // namespace tripod
