// SPDX-License-Identifier: Apache-2.0
//
// The example program does what rdma-paxos/README.md says, and is what it shows. Run from the top of the tree.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

namespace {

std::string contents(const std::string& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Example, IsTheProgramInTheReadme) {
    const std::string code = contents("rdma-paxos/example/counter.cpp");
    ASSERT_FALSE(code.empty());
    EXPECT_NE(contents("rdma-paxos/README.md").find("```cpp\n" + code + "```\n"), std::string::npos)
        << "rdma-paxos/README.md shows another program than rdma-paxos/example/counter.cpp";
}

TEST(Example, EachReplicaAddsUpTheSameNumbers) {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "rdma-paxos-example";
    FILE* pipe = popen(("timeout 60 " + program.string() + " 2>&1").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;)
        output += static_cast<char>(c);
    ASSERT_EQ(pclose(pipe), 0) << output;
    EXPECT_NE(output.find(": leader\n"), std::string::npos) << output;
    for (const char* id : {"1", "2", "3"}) {
        const int sums[] = {1, 3, 6, 10, 15};
        std::size_t at = 0;
        for (int number = 1; number <= 5; ++number) {
            const std::string line = std::string("replica ") + id + ": number " + std::to_string(number) +
                                     " makes it " + std::to_string(sums[number - 1]) + "\n";
            at = output.find(line, at);
            ASSERT_NE(at, std::string::npos) << "missing, or out of order: " << line << output;
        }
    }
}

} // namespace
