// SPDX-License-Identifier: Apache-2.0
//
// A copy whose domain cannot run any more is found, and one whose domain runs is not taken for dead.
#include <cerrno>

#include <gtest/gtest.h>

#include "vm/domain_watch.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;

struct FakeDomctl final : xen::Domctl {
    explicit FakeDomctl(int& calls) : asked(calls) {}
    xen::Result<uint32_t> version() override { return 2; }
    xen::Result<uint32_t> enable(DomId, uint32_t) override { return 1; }
    xen::Result<void> disable(DomId) override { return {}; }
    xen::Result<void> set_profile(DomId, const tripod_profile&) override { return {}; }
    xen::Result<void> set_mode(DomId, tripod_mode, uint64_t) override { return {}; }
    xen::Result<Status> status(DomId) override {
        ++asked;
        return answer;
    }
    int& asked;
    xen::Result<Status> answer = Status{};
};

TEST(DomainWatch, ADomainThatCannotRunAnyMoreIsFoundAndStaysFound) {
    using Answer = xen::Result<xen::Domctl::Status>;
    const auto in = [](tripod_life life) {
        xen::Domctl::Status status{};
        status.life = life;
        return Answer(status);
    };
    const auto failing = [](int code) { return Answer(tl::unexpected(xen::Error{code, "status"})); };
    for (const auto& [answer, ends] : std::vector<std::pair<Answer, bool>>{{in(TRIPOD_LIFE_running), false},
                                                                           {failing(EINTR), false},
                                                                           {in(TRIPOD_LIFE_shutdown), true},
                                                                           {in(TRIPOD_LIFE_dying), true},
                                                                           {failing(ESRCH), true}}) {
        int asked = 0;
        auto domctl = std::make_unique<FakeDomctl>(asked);
        FakeDomctl& xen = *domctl;
        vm::DomainWatch watch(std::move(domctl), DomId{7});
        EXPECT_FALSE(watch.look(1s));
        EXPECT_FALSE(watch.look(1s + vm::DomainWatch::interval / 2));
        EXPECT_EQ(asked, 1) << "a look is cheap, not free";
        xen.answer = answer;
        EXPECT_EQ(watch.look(1s + vm::DomainWatch::interval).has_value(), ends);
        EXPECT_EQ(watch.look_now().has_value(), ends);
        xen.answer = in(TRIPOD_LIFE_running);
        EXPECT_EQ(watch.look(5s).has_value(), ends);
    }
}

} // namespace
} // namespace tripod
