// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a call costs, in reads of the guest kernel's memory: in Xen these are most of it. In instructions:
 *   valgrind --tool=callgrind --toggle-collect=tripod_syscall_entry --toggle-collect=tripod_syscall_return
 *       build/bin/hypervisor-test --gtest_filter=CostTest.NAME
 */
#include "fixture.h"

namespace tripod::test {
namespace {

class CostTest : public HypervisorTest {
  protected:
    CostTest() { follow(TRIPOD_MODE_trace); }

    /** Reads of kernel memory for each of a thousand calls. */
    double reads(unsigned nr, std::array<std::uint64_t, 6> args, const Native& perform) {
        unsigned count = 0;
        guest.kernel.memory.after_read = [&](Va, std::uint32_t) { ++count; };
        for (int i = 0; i < 1000; ++i) {
            guest.make(thread, nr, args, perform);
            guest.control().record_cons = guest.control().record_prod;
            guest.seen.clear();
        }
        guest.kernel.memory.after_read = nullptr;
        return count / 1000.0;
    }
    const Va buffer = guest.allocate(4096);
};

TEST_F(CostTest, UnloggedCall) {
    EXPECT_EQ(reads(39, {}, returning(1)), 0.0);
}

TEST_F(CostTest, UnloggedCallWhileOthersWait) {
    Thread other = guest.add_thread(process, 102);
    FakeGuest::call(other, nr_epoll_wait, {5, buffer, 4, 0});
    guest.step(other, [&](cpu_user_regs&) {
        EXPECT_LE(reads(39, {}, returning(1)), 1.0);
        return std::int64_t{0};
    });
}

TEST_F(CostTest, NativeDescriptor) {
    EXPECT_LE(reads(nr_write, {1, buffer, 10}, returning(10)), 10.0);
}

TEST_F(CostTest, LoggedValue) {
    EXPECT_LE(reads(nr_clock_gettime, {1, buffer}, returning(0)), 4.0);
}

TEST_F(CostTest, LoggedInput) {
    EXPECT_LE(reads(nr_read, {fd(sock), buffer, 100}, giving("0123456789")), 14.0);
}

} // namespace
} // namespace tripod::test
