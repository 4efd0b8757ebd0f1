// SPDX-License-Identifier: Apache-2.0
//
// Tasks: ordinary priority, and no way to take the daemon down.
#include <atomic>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "vm/tasks.h"

namespace tripod {
namespace {

TEST(Tasks, HaveOrdinaryPriorityWhoeverStartsThem) {
    vm::Tasks tasks;
    int policy = -1;
    std::thread starter([&] {
        const sched_param none{}, realtime{.sched_priority = 1};
        // Whatever may be set here: what matters is that it is not handed down.
        if (pthread_setschedparam(pthread_self(), SCHED_RR, &realtime) != 0)
            pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
        tasks.start("task", [&] { policy = sched_getscheduler(0); });
    });
    starter.join();
    tasks.wait();
    EXPECT_EQ(policy, SCHED_OTHER);
}

TEST(Tasks, WhatOneThrowsHarmsNoOther) {
    vm::Tasks tasks;
    std::atomic<int> done = 0;
    tasks.start("throws", [] { throw std::runtime_error("no"); });
    tasks.start("works", [&] { ++done; });
    tasks.wait();
    EXPECT_EQ(done, 1);
}

TEST(Tasks, WithoutAThreadOfItsOwnATaskIsDoneAllTheSame) {
    vm::Tasks tasks;
    std::atomic<int> done = 0;
    rlimit before{};
    getrlimit(RLIMIT_AS, &before);
    // No address space for another stack.
    const rlimit none{1, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
    for (int i = 0; i < 3; ++i)
        tasks.start("task", [&] { ++done; });
    setrlimit(RLIMIT_AS, &before);
    tasks.wait();
    EXPECT_EQ(done, 3);
}

} // namespace
} // namespace tripod
