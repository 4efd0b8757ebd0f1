// SPDX-License-Identifier: GPL-2.0-only
/**
 * One protected domain in user space: the hypervisor's state with its rings, the guest's memory and kernel
 * structures, and threads that make system calls through the hooks as entry.S and do_iret would. The test plays the
 * guest kernel (by a function that performs a call) and dom0 (by the control page and the rings).
 */
#pragma once

#include "fake_kernel.h"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tripod::test {

struct Thread {
    Process process;
    std::uint32_t tid;
    Va task, kernel_sp;
    cpu_user_regs regs{};
};

/** Performs a call that the guest kernel was given, and returns rax. May set rip back by 2 to have it made again.
 */
using Native = std::function<std::int64_t(cpu_user_regs&)>;

enum class Step {
    answered, // by the hypervisor; the guest kernel was not entered
    native,   // by the guest kernel
    yielded,  // gave up the CPU, and is back at the syscall instruction
    again,    // back at the syscall instruction, ready to try again
    blocked,  // the same, with its vCPU asleep
    faulted,  // the guest kernel served a page fault and went back to the syscall instruction
    killed,   // the guest kernel had no page to give: SIGSEGV
};

struct Segment {
    std::uint16_t kind, arg;
    std::vector<std::uint8_t> bytes;
};

/** A record in a copy of its own. */
struct Record {
    std::vector<std::uint8_t> bytes;

    [[nodiscard]] tripod_record head() const;
    [[nodiscard]] std::vector<Segment> segments() const;
    void set_head(const tripod_record& head);
    void add_segment(unsigned kind, unsigned arg, std::span<const std::uint8_t> content);

    static Record call(std::uint64_t seq, const Thread& thread, unsigned nr, std::int64_t result, int fd = -1);
};

struct PageFault {
    Va address;
    unsigned error_code;
};

class FakeGuest {
  public:
    static constexpr std::uint32_t ring_pages = 64;
    static constexpr Va syscall_site = 0x401000; // of every call that call() prepares
    static constexpr Va user_base = 0x10000000;

    FakeGuest();
    ~FakeGuest();
    FakeGuest(const FakeGuest&) = delete;
    FakeGuest& operator=(const FakeGuest&) = delete;

    Process add_process(std::uint32_t tgid, std::uint32_t descriptors = FakeKernel::max_fds) {
        return kernel.add_process(tgid, descriptors);
    }
    Thread add_thread(const Process& process, std::uint32_t tid);

    /** User memory for a buffer, on pages of its own; it ends where a page ends when `at_end`. */
    Va allocate(std::uint64_t bytes, bool at_end = false);
    template <typename T>
    Va allocate_with(const T& value) {
        const Va at = allocate(sizeof value);
        user.put(at, value);
        return at;
    }

    /** Puts a thread at a syscall instruction. */
    static void call(Thread& thread, unsigned nr, std::array<std::uint64_t, 6> args, Va site = syscall_site);
    /** Executes the syscall instruction once. */
    Step step(Thread& thread, const Native& perform);
    /** Until the call is over, the vCPU is blocked, or the thread is dead; 1000 steps at the most. */
    Step run(Thread& thread, const Native& perform);
    /** call() and run(). */
    Step make(Thread& thread, unsigned nr, std::array<std::uint64_t, 6> args, const Native& perform);
    /** The guest kernel goes back to user code where it was interrupted. */
    void iret(Thread& thread);
    /** The guest kernel has nothing to run. */
    void idle();
    /** Drops all calls that are under way. */
    void forget_pending();

    void set_mode(tripod_mode mode, std::uint64_t next_seq = 1);
    void kick();
    /** What happens while the vCPU makes ready to sleep. */
    std::function<void()> on_block;
    /** dom0: is kicked. */
    std::function<void()> on_notify;
    /** dom0: takes all new records. */
    std::vector<Record> take();
    /** dom0: appends to the replay ring; false when there is no room. */
    bool feed(const Record& record);
    void feed(const std::vector<Record>& records);

    [[nodiscard]] std::string thread_state(const Thread& thread) const;

    tripod_domain* operator->() { return tripod_.get(); }
    tripod_domain* get() { return tripod_.get(); }
    tripod_control& control() { return *tripod_->control; }

    domain dom{};
    FakeKernel kernel;
    FakeMemory user;

    // What the hypervisor did.
    std::vector<cpu_user_regs> seen; // what the guest kernel was given, at each entry; yields included
    std::optional<PageFault> fault;  // the last injected
    unsigned notified = 0;           // kicks to dom0
    unsigned softirqs = 0;
    unsigned refused_addresses = 0; // user copies at addresses that are not a user's
    s_time_t now = 1'000'000'000;
    Va current_kernel_sp = 0;

  private:
    Va next_user_ = user_base;
    Va next_kernel_sp_ = 0xffffc90000004000;
    std::unique_ptr<tripod_domain> tripod_;
    std::unique_ptr<tripod_control> control_;
    std::unique_ptr<std::uint8_t[]> record_, replay_, scratch_;
};

/** The vCPU that runs. Set by FakeGuest's own functions. */
extern FakeGuest* running;

} // namespace tripod::test
