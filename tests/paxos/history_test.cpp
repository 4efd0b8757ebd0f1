// SPDX-License-Identifier: Apache-2.0
#include "checking/history.h"

#include <gtest/gtest.h>
#include <sstream>

namespace rdma_paxos::checking {
namespace {

const std::string example = "rdma-paxos history 1\n"
                            "0 7 write 11 100 200\n"
                            "1 7 read 11 150 250\n"
                            "2 7 lease-read 11 300 310\n"
                            "3 7 compare-and-set 11 12 11 320 330\n"
                            "4 7 compare-and-set 12 13 - 340 -\n"
                            "5 8 write 1 340 -\n";

tl::expected<std::vector<Record>, Error> read(const std::string& text) {
    std::istringstream in(text);
    return read_history(in);
}

TEST(History, ReadsWhatItWrites) {
    const auto records = read(example);
    ASSERT_TRUE(records) << records.error().what;
    ASSERT_EQ(records->size(), 6u);
    std::string again = std::string(history_title) + "\n";
    for (const Record& record : *records)
        again += to_line(record) + "\n";
    EXPECT_EQ(again, example);
    const Operation& swap = (*records)[3].operation;
    EXPECT_EQ(swap.client, 3u);
    EXPECT_EQ(swap.kind, OperationKind::compare_and_set);
    EXPECT_EQ(swap.expected, 11u);
    EXPECT_EQ(swap.argument, 12u);
    EXPECT_EQ(swap.result, 11u);
    EXPECT_EQ(swap.invoked, Nanoseconds(320));
    EXPECT_EQ(swap.returned, Nanoseconds(330));
    EXPECT_TRUE((*records)[2].lease);
    EXPECT_EQ((*records)[4].operation.returned, never);
    EXPECT_FALSE(check_history(*records));
}

TEST(History, RefusesWhatItDoesNotUnderstand) {
    EXPECT_FALSE(read(""));
    EXPECT_FALSE(read("rdma-paxos history 2\n"));
    for (const char* line : {"0 7 write 11 100", "0 7 write 11 100 200 300", "0 7 write x 100 200",
                             "0 7 write -1 100 200", "0 7 remove 11 100 200", "0 7 read - 100 200",
                             "0 7 read 5 100 -", "-", "", "0 7 write 99999999999999999999999 1 2"}) {
        const auto records = read(std::string(history_title) + "\n" + line + "\n");
        ASSERT_FALSE(records) << line;
        EXPECT_EQ(records.error().what.find("line 2 is no operation"), 0u) << records.error().what;
    }
}

TEST(History, JudgesEachRegisterAndNamesIt) {
    const auto records = read(example + "6 8 read 9 400 500\n");
    ASSERT_TRUE(records);
    const auto complaint = check_history(*records);
    ASSERT_TRUE(complaint);
    EXPECT_EQ(complaint->find("register 8: not linearizable"), 0u) << *complaint;
}

} // namespace
} // namespace rdma_paxos::checking
