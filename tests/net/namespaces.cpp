// SPDX-License-Identifier: Apache-2.0
#include "namespaces.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>

namespace tripod::net::test {

Namespace Namespace::current() {
    Namespace result;
    result.fd_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    return result;
}

Namespace Namespace::make() {
    const Namespace before = current();
    if (unshare(CLONE_NEWNET) != 0)
        return {};
    Namespace made = current();
    before.enter();
    return made;
}

void Namespace::enter() const {
    if (setns(fd_.get(), CLONE_NEWNET) != 0) {
        std::perror("setns");
        std::abort(); // everything after this would happen to the wrong network
    }
}

void Namespace::in(const std::function<void()>& work) const {
    const Namespace before = current();
    enter();
    work();
    before.enter();
}

void Namespace::run(const std::string& command) const {
    in([&] { EXPECT_EQ(std::system(command.c_str()), 0) << command; });
}

std::string Namespace::output(const std::string& command) const {
    std::string text;
    in([&] {
        FILE* pipe = popen(command.c_str(), "r");
        ASSERT_NE(pipe, nullptr);
        std::array<char, 512> line{};
        while (fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr)
            text += line.data();
        pclose(pipe);
    });
    return text;
}

} // namespace tripod::net::test
