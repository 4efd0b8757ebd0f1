// SPDX-License-Identifier: GPL-2.0-only
/** A guest with one process of one thread that has a connected socket: where most tests begin. */
#pragma once

#include "fake_guest.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <string>

namespace tripod::test {

inline constexpr unsigned nr_read = 0, nr_write = 1, nr_close = 3, nr_poll = 7, nr_readv = 19, nr_writev = 20,
                          nr_select = 23, nr_socket = 41, nr_connect = 42, nr_accept = 43, nr_sendto = 44,
                          nr_recvfrom = 45, nr_sendmsg = 46, nr_recvmsg = 47, nr_getsockopt = 55, nr_wait4 = 61,
                          nr_gettimeofday = 96, nr_restart = 219, nr_clock_gettime = 228, nr_epoll_wait = 232,
                          nr_accept4 = 288, nr_getrandom = 318;
inline constexpr std::int64_t e_intr = -4, e_again = -11, e_fault = -14, e_inval = -22, e_nosys = -38;

/** What a call out of order in a test would mean: the guest kernel was asked, and should not have been. */
inline std::int64_t never(cpu_user_regs& regs) {
    ADD_FAILURE() << "the guest kernel was entered with call " << regs.rax;
    return e_nosys;
}

inline Native returning(std::int64_t result) {
    return [result](cpu_user_regs&) { return result; };
}

class HypervisorTest : public testing::Test {
  protected:
    HypervisorTest() {
        guest.kernel.open_regular(process); // 0
        guest.kernel.open_pipe(process);    // 1
        sock = guest.kernel.open_socket(process);
    }

    /** Mode record with the process followed; its announcements are taken. */
    void follow(tripod_mode mode = TRIPOD_MODE_record) {
        guest.set_mode(mode);
        const Va at = guest.allocate(16);
        guest.make(thread, nr_clock_gettime, {1, at}, returning(0));
        guest.take();
        guest.seen.clear();
    }

    /** Mode replay with the process followed; the next record to feed has number `seq`. */
    void follow_replay() {
        guest.set_mode(TRIPOD_MODE_replay);
        Record announced = Record::call(seq++, thread, 0, 0, sock);
        tripod_record head = announced.head();
        head.type = TRIPOD_REC_socket;
        announced.set_head(head);
        tripod_socket end{};
        end.family = 2;
        end.type = 1;
        end.local_port = Socket{}.local_port;
        end.remote_port = Socket{}.remote_port;
        announced.add_segment(TRIPOD_SEG_socket, 0, {reinterpret_cast<const std::uint8_t*>(&end), sizeof end});
        guest.feed(announced);
        guest.feed(Record::call(seq++, thread, nr_getrandom, e_again));
        ASSERT_EQ(guest.make(thread, nr_getrandom, {0, 0, 0}, never), Step::answered);
        guest.seen.clear();
    }

    /** The guest kernel's part of a read(): the bytes of `text`. */
    Native giving(const std::string& text) {
        return [this, text](cpu_user_regs& regs) {
            const auto bytes = std::min<std::uint64_t>(text.size(), regs.rdx);
            guest.user.poke(regs.rsi, text.data(), bytes);
            return static_cast<std::int64_t>(bytes);
        };
    }

    std::string text(Va at, std::uint64_t bytes) {
        const auto raw = guest.user.bytes(at, bytes);
        return {raw.begin(), raw.end()};
    }
    static std::string text(const Segment& segment) { return {segment.bytes.begin(), segment.bytes.end()}; }
    static std::span<const std::uint8_t> view(const std::string& s) {
        return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
    }
    [[nodiscard]] std::uint64_t fd(int number) const { return static_cast<std::uint64_t>(number); }

    FakeGuest guest;
    Process process = guest.add_process(100);
    Thread thread = guest.add_thread(process, 101);
    int sock = -1;
    std::uint64_t seq = 1;
};

} // namespace tripod::test
