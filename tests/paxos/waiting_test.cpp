// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/waiting.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace rdma_paxos {
namespace {

constexpr unsigned processors = 4;

/// Lets a policy live through waits of given lengths; returns how long it spun in all, and how often it slept.
struct Life {
    Nanoseconds spun{};
    int slept = 0;
    int found = 0;
};

Life live(WaitPolicy& policy, Nanoseconds wait, int count, unsigned spinners = 1) {
    Life life;
    for (int i = 0; i < count; ++i) {
        const Nanoseconds budget = policy.budget(Nanoseconds(i), processors, spinners);
        const bool found = wait <= budget;
        if (budget > 0ns)
            policy.ended(std::min(wait, budget), found);
        life.spun += std::min(wait, budget);
        life.found += found;
        life.slept += !found;
    }
    return life;
}

TEST(WaitPolicy, SpinsWhileWaitsAreShort) {
    WaitPolicy policy({});
    const Life life = live(policy, 3us, 1000);
    EXPECT_EQ(life.found, 1000);
}

TEST(WaitPolicy, SleepsWhenWaitsAreLongButTriesNowAndThen) {
    WaitPolicy policy({});
    live(policy, 3us, 1000);
    live(policy, 5ms, 500);
    const Life life = live(policy, 5ms, 3200);
    EXPECT_EQ(life.found, 0);
    EXPECT_EQ(life.spun, 100 * WaitOptions{}.spin_max) << "one in 32 waits, with the largest budget";
    // Trials find out when waits have become short again.
    EXPECT_GT(live(policy, 3us, 4000).found, 2000);
    EXPECT_EQ(live(policy, 3us, 1000).found, 1000);
}

TEST(WaitPolicy, ABudgetIsNotLongerThanItPays) {
    WaitPolicy policy({.mode = WaitMode::adaptive, .spin_max = 100us, .sleep_cost = 20us});
    live(policy, 90us, 300); // spinning 90 us to save a sleep of 20 is a bad bargain
    EXPECT_LE(live(policy, 90us, 320).spun, 11 * 100us);
    // Half of all waits are short: spin as long as those take, no longer.
    for (int i = 0; i < 600; ++i) {
        const Nanoseconds wait = i % 2 == 0 ? 2us : 1ms;
        const Nanoseconds budget = policy.budget(Nanoseconds(i), processors, 1);
        if (budget > 0ns)
            policy.ended(std::min(wait, budget), wait <= budget);
        if (i > 300 && budget != WaitOptions{}.spin_max) {
            EXPECT_GE(budget, 2us);
            EXPECT_LE(budget, 8us);
        }
    }
}

TEST(WaitPolicy, NeverSpinsOnTheOnlyProcessorOrBesideTooManyOthers) {
    WaitPolicy policy({});
    EXPECT_EQ(policy.budget(0ns, 1, 1), 0ns);
    EXPECT_EQ(policy.budget(0ns, processors, processors), 0ns);
    EXPECT_GT(policy.budget(0ns, processors, processors - 1), 0ns);
}

TEST(WaitPolicy, WhoeverIsPreemptedSleepsForAWhileAndLongerEachTime) {
    WaitPolicy policy({});
    live(policy, 3us, 100);
    const auto spins_at = [&](Nanoseconds time) { return policy.budget(time, processors, 1) > 0ns; };
    Nanoseconds now = 1s;
    ASSERT_TRUE(spins_at(now));
    policy.preempted(now);
    EXPECT_FALSE(spins_at(now + WaitPolicy::penalty_min - 1ns));
    now += WaitPolicy::penalty_min;
    EXPECT_TRUE(spins_at(now));
    policy.preempted(now);
    EXPECT_FALSE(spins_at(now + 2 * WaitPolicy::penalty_min - 1ns));
    for (int i = 0; i < 20; ++i) { // each time as soon as it may spin again
        while (!spins_at(now))
            now += WaitPolicy::penalty_min / 4;
        policy.preempted(now);
    }
    EXPECT_FALSE(spins_at(now + WaitPolicy::penalty_max - 1ns));
    EXPECT_TRUE(spins_at(now + WaitPolicy::penalty_max));
    // Long after, it is as if it had never happened.
    now += 100 * WaitPolicy::penalty_max;
    policy.preempted(now);
    EXPECT_TRUE(spins_at(now + WaitPolicy::penalty_min));
}

TEST(WaitPolicy, ForcedModesDoAsTheyAreTold) {
    WaitPolicy spin({.mode = WaitMode::spin});
    WaitPolicy sleep({.mode = WaitMode::sleep});
    spin.preempted(0ns);
    EXPECT_EQ(spin.budget(1ns, 1, 9), Nanoseconds::max());
    EXPECT_EQ(sleep.budget(1ns, 8, 1), 0ns);
}

/// Completes nothing; only its file descriptor matters.
class IdleFabric final : public Fabric {
  public:
    ~IdleFabric() override { close(fd); }
    std::span<std::byte> region(Region) override { return {}; }
    bool add_peer(ReplicaId) override { return true; }
    void remove_peer(ReplicaId) override {}
    bool reset(ReplicaId, Link) override { return true; }
    Endpoint endpoint(ReplicaId, Link) override { return {}; }
    bool connect(ReplicaId, Link, const Endpoint&) override { return true; }
    bool post_write(ReplicaId, Link, std::uint64_t, Bytes, WorkId, bool) override { return true; }
    bool post_read(ReplicaId, Link, std::uint64_t, std::span<std::byte>, WorkId) override { return true; }
    std::size_t poll(Link, std::span<Completion>) override { return 0; }
    std::vector<int> event_fds() const override { return {fd}; }
    void arm() override { ++armed; }
    FabricStats stats() const override { return {}; }
    std::string describe() const override { return "idle"; }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int armed = 0;
};

TEST(Waiter, FindsWhileSpinningWithoutArming) {
    IdleFabric fabric;
    Waiter waiter(fabric, {.mode = WaitMode::spin});
    int looks = 0;
    const auto outcome = waiter.wait({}, monotonic_now() + 10s, true, [&](Nanoseconds) { return ++looks == 1000; });
    EXPECT_TRUE(outcome.found);
    EXPECT_EQ(looks, 1000);
    EXPECT_EQ(fabric.armed, 0);
    EXPECT_EQ(waiter.counts().found_spinning, 1u);
}

TEST(Waiter, WhoExpectsNothingDoesNotSpin) {
    IdleFabric fabric;
    Waiter waiter(fabric, {.mode = WaitMode::spin});
    int looks = 0;
    const auto outcome = waiter.wait({}, monotonic_now() + 1ms, false, [&](Nanoseconds) { return ++looks < 0; });
    EXPECT_FALSE(outcome.found || outcome.fabric || outcome.extra);
    EXPECT_EQ(looks, 1) << "after arming";
    EXPECT_EQ(fabric.armed, 1);
    EXPECT_EQ(waiter.counts().slept, 1u);
}

TEST(Waiter, WhatSlippedInWhileArmingIsSeen) {
    IdleFabric fabric;
    Waiter waiter(fabric, {.mode = WaitMode::sleep});
    EXPECT_TRUE(waiter.wait({}, monotonic_now() + 1h, true, [&](Nanoseconds) { return fabric.armed > 0; }).found);
    EXPECT_EQ(waiter.counts().slept, 0u);
}

TEST(Waiter, SleepEndsWithTheFabricAnExtraDescriptorOrTheDeadline) {
    IdleFabric fabric;
    Waiter waiter(fabric, {.mode = WaitMode::sleep});
    const auto nothing = [](Nanoseconds) { return false; };
    std::array<pollfd, 2> extra{{{eventfd(0, EFD_CLOEXEC), POLLIN, 0}, {eventfd(1, EFD_CLOEXEC), POLLIN, 0}}};
    auto outcome = waiter.wait(extra, monotonic_now() + 1h, true, nothing);
    EXPECT_TRUE(outcome.extra && !outcome.fabric);
    EXPECT_EQ(extra[0].revents, 0);
    EXPECT_EQ(extra[1].revents, POLLIN);
    eventfd_write(fabric.fd, 1);
    outcome = waiter.wait(std::span(extra).first(1), monotonic_now() + 1h, true, nothing);
    EXPECT_TRUE(outcome.fabric && !outcome.extra);
    outcome = waiter.wait(extra, monotonic_now() - 1s, true, nothing);
    EXPECT_FALSE(outcome.fabric || outcome.extra) << "too late to wait for anything";
    for (const pollfd& each : extra)
        close(each.fd);
}

} // namespace
} // namespace rdma_paxos
