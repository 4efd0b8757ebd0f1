// SPDX-License-Identifier: Apache-2.0
//
// Networks made for one test out of network namespaces; they vanish with the test's process.
#pragma once

#include <functional>
#include <string>

#include "base/unique_fd.h"

namespace tripod::net::test {

/** A network namespace, and a way to do things in it. One thread. */
class Namespace {
  public:
    /** A new one; the caller stays in its own. Check valid(): it takes root. */
    static Namespace make();
    /** The caller's own. */
    static Namespace current();

    bool valid() const { return static_cast<bool>(fd_); }
    /** Runs `work` with this as the namespace of the thread; sockets made there stay there. */
    void in(const std::function<void()>& work) const;
    /** Runs a shell command there; a test failure when it fails. */
    void run(const std::string& command) const;
    /** What a shell command there prints. */
    std::string output(const std::string& command) const;
    void enter() const;
    int fd() const { return fd_.get(); }

  private:
    UniqueFd fd_;
};

} // namespace tripod::net::test
