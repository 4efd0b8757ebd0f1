// SPDX-License-Identifier: Apache-2.0
#include "fabric/locked_pages.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

std::size_t free_huge_pages() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    std::size_t count = 0;
    file >> count;
    return count;
}

TEST(LockedPages, AreAlignedZeroedAndAsManyAsAskedFor) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{4097}, std::size_t{5u << 20}}) {
        auto pages = LockedPages::make(bytes);
        ASSERT_TRUE(pages) << pages.error().what;
        const auto memory = pages->span();
        EXPECT_EQ(memory.size(), (bytes + 4095) / 4096 * 4096);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 4096, 0u);
        EXPECT_TRUE(std::all_of(memory.begin(), memory.end(), [](std::byte each) { return each == std::byte{}; }));
        memory.back() = std::byte{1};
        LockedPages moved = std::move(*pages);
        EXPECT_EQ(moved.span().data(), memory.data());
        EXPECT_TRUE(pages->span().empty()); // NOLINT(bugprone-use-after-move): that is what is tested
    }
}

// With none set aside (vm.nr_hugepages), ordinary or transparent ones do.
TEST(LockedPages, LargeOnesLieOnExplicitHugePagesWhereThereAreSome) {
    const bool some = free_huge_pages() >= 3;
    const auto large = LockedPages::make(5u << 20), small = LockedPages::make(64u << 10);
    ASSERT_TRUE(large && small);
    EXPECT_EQ(large->describe().find("explicit") != std::string::npos, some) << large->describe();
    EXPECT_EQ(small->describe().find("explicit"), std::string::npos) << small->describe();
    RecordProperty("pages", large->describe());
}

} // namespace
} // namespace rdma_paxos
