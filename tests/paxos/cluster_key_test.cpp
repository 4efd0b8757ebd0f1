// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/cluster_key.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rdma_paxos {
namespace {

class ClusterKeyTest : public testing::Test {
  protected:
    ClusterKeyTest() {
        char name[] = "/tmp/cluster-key-XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~ClusterKeyTest() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& content, mode_t mode = 0600) const {
        const std::string path = folder_ + "/key";
        std::ofstream(path, std::ios::binary) << content;
        EXPECT_EQ(chmod(path.c_str(), mode), 0);
        return path;
    }

    /// What load() says is wrong with it.
    static std::string problem(const std::string& path) {
        const auto key = ClusterKey::load(path);
        EXPECT_FALSE(key);
        EXPECT_TRUE(key || key.error().what.find(path) != std::string::npos) << "names the file";
        return key ? "" : key.error().what;
    }

    static bool has(const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos;
    }

    std::string folder_;
    const std::string good = "0123456789abcdef0123456789abcdeF";
};

TEST_F(ClusterKeyTest, LoadsWhatItsOwnerAloneCanRead) {
    for (const mode_t mode : {0600U, 0400U}) {
        const auto key = ClusterKey::load(write(good, mode));
        ASSERT_TRUE(key) << key.error().what;
        const auto expected = std::as_bytes(std::span(good));
        EXPECT_TRUE(std::equal(key->secret().begin(), key->secret().end(), expected.begin(), expected.end()));
        std::filesystem::remove_all(folder_ + "/key");
    }
}

TEST_F(ClusterKeyTest, AMissingOneSaysHowToMakeIt) {
    const std::string said = problem(folder_ + "/none");
    EXPECT_TRUE(has(said, "No such file")) << said;
    EXPECT_TRUE(has(said, "head -c 32 /dev/urandom > " + folder_ + "/none")) << said;
}

TEST_F(ClusterKeyTest, TheCommandThatItGivesMakesAGoodOne) {
    const std::string said = problem(folder_ + "/made");
    const auto from = said.find('`') + 1;
    ASSERT_EQ(std::system(said.substr(from, said.find('`', from) - from).c_str()), 0) << said;
    const auto key = ClusterKey::load(folder_ + "/made");
    EXPECT_TRUE(key) << key.error().what;
}

TEST_F(ClusterKeyTest, ItsLengthMustBeRight) {
    EXPECT_TRUE(has(problem(write(good.substr(1))), "has 31 bytes, not 32"));
    EXPECT_TRUE(has(problem(write(good + "\n")), "has 33 bytes, not 32"));
    EXPECT_TRUE(has(problem(write("")), "has 0 bytes, not 32"));
}

TEST_F(ClusterKeyTest, OthersMustNotReadIt) {
    for (const mode_t mode : {0640U, 0604U, 0620U, 0601U}) {
        const std::string said = problem(write(good, mode));
        EXPECT_TRUE(has(said, "others than its owner")) << said;
        EXPECT_TRUE(has(said, "chmod 600")) << said;
    }
}

TEST_F(ClusterKeyTest, ItMustNotBeSomebodyElses) {
    const std::string path = write(good);
    if (geteuid() != 0 || chown(path.c_str(), 12345, 0) != 0)
        GTEST_SKIP() << "only root can give a file away";
    EXPECT_TRUE(has(problem(path), "belongs to user 12345"));
}

TEST_F(ClusterKeyTest, AnEmptyPatternIsNoKey) {
    EXPECT_TRUE(has(problem(write(std::string(32, '\0'))), "all its bytes are the same"));
}

TEST_F(ClusterKeyTest, OnlyAnOrdinaryFileWillDo) {
    EXPECT_TRUE(has(problem(folder_), "not an ordinary file"));
    const std::string fifo = folder_ + "/fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_TRUE(has(problem(fifo), "not an ordinary file")) << "and does not wait for a writer";
}

} // namespace
} // namespace rdma_paxos
