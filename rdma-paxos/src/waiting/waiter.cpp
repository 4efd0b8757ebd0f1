// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/waiting.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <sched.h>
#include <sys/resource.h>
#include <utility>

namespace rdma_paxos {

namespace {

/// Threads of this process that are spinning now.
std::atomic<unsigned> spinners{0};

unsigned usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

std::uint64_t involuntary_switches() {
    rusage usage{};
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? static_cast<std::uint64_t>(usage.ru_nivcsw) : 0;
}

} // namespace

Waiter::Waiter(Fabric& fabric, const WaitOptions& options)
    : fabric_(fabric), policy_(options), too_short_(options.mode == WaitMode::sleep ? 0ns : options.sleep_cost / 4),
      processors_(usable_processors()), involuntary_switches_(involuntary_switches()) {
    for (const int fd : fabric.event_fds())
        fds_.push_back({fd, POLLIN, 0});
    fabric_fds_ = fds_.size();
    fds_.reserve(fabric_fds_ + 16);
}

Nanoseconds Waiter::begin(Nanoseconds begun) {
    const unsigned others = spinners.fetch_add(1, std::memory_order_relaxed);
    const Nanoseconds budget = policy_.budget(begun, processors_, others + 1);
    if (budget <= 0ns)
        spinners.fetch_sub(1, std::memory_order_relaxed);
    return budget;
}

void Waiter::end(Nanoseconds spun, bool found, bool used_up) {
    spinners.fetch_sub(1, std::memory_order_relaxed);
    counts_.found_spinning += found;
    counts_.given_up += !found;
    if (found || used_up) // a deadline that came first tells nothing
        policy_.ended(spun, found);
}

// The clock jumped between two looks. Either a look took long, or the processor was taken from us; the kernel
// knows.
void Waiter::check_preemption(Nanoseconds now) {
    const std::uint64_t before = std::exchange(involuntary_switches_, involuntary_switches());
    if (involuntary_switches_ == before)
        return;
    ++counts_.preempted;
    policy_.preempted(now);
}

Waiter::Outcome Waiter::sleep(std::span<pollfd> extra, Nanoseconds deadline) {
    Outcome outcome;
    const Nanoseconds left = deadline - monotonic_now();
    if (left <= too_short_) {
        sched_yield(); // what we wait for may be done by somebody who wants this processor
        return outcome;
    }
    ++counts_.slept;
    fds_.resize(fabric_fds_);
    fds_.insert(fds_.end(), extra.begin(), extra.end());
    const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    const int ready = ppoll(fds_.data(), fds_.size(), &timeout, nullptr);
    for (std::size_t i = 0; i < fds_.size(); ++i) {
        const short revents = ready > 0 ? fds_[i].revents : short{0};
        if (i < fabric_fds_)
            outcome.fabric |= revents != 0;
        else {
            extra[i - fabric_fds_].revents = revents;
            outcome.extra |= revents != 0;
        }
    }
    return outcome;
}

} // namespace rdma_paxos
