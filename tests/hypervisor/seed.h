// SPDX-License-Identifier: GPL-2.0-only
/** Seeds of randomised tests: TRIPOD_SEED=N runs one test with that seed alone; TRIPOD_ROUNDS=N more of them. */
#pragma once

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace tripod::test {

template <typename Run>
void for_seeds(std::uint64_t rounds, Run run) {
    const char* one = std::getenv("TRIPOD_SEED");
    const char* more = std::getenv("TRIPOD_ROUNDS");
    const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 0) : 1;
    const std::uint64_t count = one != nullptr ? 1 : more != nullptr ? std::strtoull(more, nullptr, 0) : rounds;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("to repeat: TRIPOD_SEED=" + std::to_string(seed) +
                     " build/bin/hypervisor-test --gtest_filter=" +
                     testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "." +
                     testing::UnitTest::GetInstance()->current_test_info()->name());
        run(seed);
        if (testing::Test::HasFailure())
            return;
    }
}

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    /** 0 .. bound - 1 */
    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    std::uint64_t bits() { return engine_(); }

  private:
    std::mt19937_64 engine_;
};

} // namespace tripod::test
