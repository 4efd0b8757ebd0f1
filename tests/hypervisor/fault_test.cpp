// SPDX-License-Identifier: GPL-2.0-only
/** User pages that are not there, or not writable: the guest kernel supplies them, and the call goes on. */
#include "fixture.h"

namespace tripod::test {
namespace {

class FaultTest : public HypervisorTest {
  protected:
    Record input(const std::string& bytes) {
        Record record = Record::call(seq++, thread, nr_read, static_cast<std::int64_t>(bytes.size()), sock);
        record.add_segment(TRIPOD_SEG_arg, 1, view(bytes));
        return record;
    }
    const Va buffer = guest.allocate(3 * PAGE_SIZE);
};

TEST_F(FaultTest, ReplayIntoAnAbsentPage) {
    follow_replay();
    const std::string bytes(5000, 'r');
    guest.feed(input(bytes));
    const auto position = guest.control().replay_cons;
    guest.user.page(buffer + PAGE_SIZE).present = false;
    FakeGuest::call(thread, nr_read, {fd(sock), buffer + 100, 5000});
    EXPECT_EQ(guest.step(thread, never), Step::faulted);
    EXPECT_EQ(guest.fault->address, buffer + PAGE_SIZE);
    EXPECT_EQ(guest.fault->error_code, PFEC_user_mode | PFEC_write_access);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_read);
    EXPECT_EQ(guest.control().replay_cons, position) << "applied before it was";
    EXPECT_EQ(guest.step(thread, never), Step::answered);
    EXPECT_EQ(text(buffer + 100, 5000), bytes);
    EXPECT_EQ(guest.control().replay_seq, seq);
}

TEST_F(FaultTest, ReplayIntoACopyOnWritePage) {
    follow_replay();
    guest.feed(input("new"));
    guest.user.page(buffer).writable = false;
    FakeGuest::call(thread, nr_read, {fd(sock), buffer + 7, 100});
    EXPECT_EQ(guest.step(thread, never), Step::faulted);
    EXPECT_EQ(guest.fault->address, buffer + 7);
    EXPECT_TRUE(guest.fault->error_code & PFEC_write_access);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(text(buffer + 7, 3), "new");
}

TEST_F(FaultTest, ReplayComparesAnOutputThatIsSwappedOut) {
    follow_replay();
    guest.user.poke(buffer + PAGE_SIZE - 3, "answer", 6);
    guest.user.page(buffer + PAGE_SIZE).present = false;
    Record record = Record::call(seq++, thread, nr_write, 6, sock);
    tripod_record head = record.head();
    head.length = 6;
    head.digest = xxh64("answer", 6, 0);
    record.set_head(head);
    guest.feed(record);
    FakeGuest::call(thread, nr_write, {fd(sock), buffer + PAGE_SIZE - 3, 6});
    EXPECT_EQ(guest.step(thread, never), Step::faulted);
    EXPECT_EQ(guest.fault->address, buffer + PAGE_SIZE);
    EXPECT_EQ(guest.fault->error_code, PFEC_user_mode);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(FaultTest, RecordKeepsTheResultUntilThePageIsBack) {
    follow();
    int performed = 0;
    FakeGuest::call(thread, nr_read, {fd(sock), buffer + PAGE_SIZE - 2, 100});
    EXPECT_EQ(guest.step(thread,
                         [&](cpu_user_regs& regs) {
                             ++performed;
                             const auto result = giving("once only")(regs);
                             guest.user.page(buffer + PAGE_SIZE).present = false; // paged out before the return
                             return result;
                         }),
              Step::again);
    EXPECT_EQ(thread.regs.rip, FakeGuest::syscall_site);
    EXPECT_EQ(thread.regs.rax, nr_read);
    EXPECT_EQ(guest.step(thread, never), Step::faulted);
    EXPECT_EQ(guest.fault->address, buffer + PAGE_SIZE);
    EXPECT_EQ(guest.fault->error_code, PFEC_user_mode);
    EXPECT_EQ(guest.run(thread, never), Step::answered);
    EXPECT_EQ(performed, 1) << "the input was taken from the socket twice";
    EXPECT_EQ(thread.regs.rax, 9U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(text(records[0].segments().at(0)), "once only");
}

TEST_F(FaultTest, LengthOfAnAddressBufferIsFetchedFirst) {
    follow();
    const Va length = guest.allocate_with(std::uint32_t{16});
    guest.user.page(length).present = false;
    FakeGuest::call(thread, nr_accept, {fd(sock), buffer, length});
    EXPECT_EQ(guest.step(thread, never), Step::faulted);
    EXPECT_EQ(guest.fault->address, length);
    EXPECT_EQ(guest.fault->error_code, PFEC_user_mode);
    EXPECT_EQ(guest.run(thread, returning(e_again)), Step::native);
    EXPECT_EQ(guest.take().size(), 1U);
}

TEST_F(FaultTest, PagesThatVanishOneByOneEndWell) {
    follow();
    const Va iov = guest.allocate(3 * 16);
    for (unsigned i = 0; i < 3; ++i) {
        guest.user.put(iov + i * 16, buffer + i * PAGE_SIZE + 10);
        guest.user.put(iov + i * 16 + 8, std::uint64_t{4});
    }
    FakeGuest::call(thread, nr_readv, {fd(sock), iov, 3});
    EXPECT_EQ(guest.step(thread,
                         [&](cpu_user_regs&) {
                             for (unsigned i = 0; i < 3; ++i) {
                                 guest.user.poke(buffer + i * PAGE_SIZE + 10, "data", 4);
                                 guest.user.page(buffer + i * PAGE_SIZE).present = false;
                             }
                             guest.user.page(iov).present = false;
                             return std::int64_t{12};
                         }),
              Step::again);
    int faults = 0;
    while (guest.step(thread, never) == Step::faulted)
        ++faults;
    EXPECT_EQ(faults, 4);
    EXPECT_EQ(thread.regs.rax, 12U);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(text(records[0].segments().at(0)), "datadatadata");
}

TEST_F(FaultTest, BufferThatIsGoneKillsTheProcessAndNothingElse) {
    follow();
    FakeGuest::call(thread, nr_read, {fd(sock), buffer, 10});
    guest.step(thread, [&](cpu_user_regs& regs) {
        const auto result = giving("lost")(regs);
        guest.user.unmap(buffer); // munmap by another thread
        return result;
    });
    EXPECT_EQ(guest.run(thread, never), Step::killed);
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
    EXPECT_TRUE(guest.take().empty());
}

} // namespace
} // namespace tripod::test
