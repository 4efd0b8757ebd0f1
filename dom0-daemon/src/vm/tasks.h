// SPDX-License-Identifier: Apache-2.0
//
// Long work that nobody waits for: what a replication thread must not do itself.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace tripod::vm {

// Thread-safe. Every task has a thread of its own, with its name. The destructor waits for all.
class Tasks {
  public:
    ~Tasks() { wait(); }
    void start(const std::string& name, std::function<void()> work);
    // Until none runs.
    void wait();
    // Tasks that may take long look at this.
    void stop() { stopping_ = true; }
    bool stopping() const { return stopping_; }

  private:
    struct Task {
        std::thread thread;
        std::atomic<bool> done = false;
    };
    void reap();

    std::mutex mutex_;
    std::list<Task> tasks_;
    std::atomic<bool> stopping_ = false;
};

} // namespace tripod::vm
