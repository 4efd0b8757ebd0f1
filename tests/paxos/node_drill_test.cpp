// SPDX-License-Identifier: Apache-2.0
//
// The drill on this machine (node-drill says what it does), once in each mode. Run from the top of the tree.
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>

namespace {

void drill(const std::string& options) {
    const std::string programs = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
    const std::string command = "tests/paxos/node-drill --programs " + programs + " " + options + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;)
        output += static_cast<char>(c);
    EXPECT_EQ(pclose(pipe), 0) << output;
    EXPECT_NE(output.find(" answered: "), std::string::npos) << output;
}

TEST(NodeDrill, VolatileNodesLoseNothingAcknowledged) {
    drill("--faults 5");
}

TEST(NodeDrill, DurableNodesLoseNothingAcknowledgedThoughAllDie) {
    drill("--durable --faults 8");
}

} // namespace
