// SPDX-License-Identifier: Apache-2.0
//
// Long work that nobody waits for: what a replication thread must not do itself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace tripod::vm {

// Thread-safe. Every task has a thread of its own, with its name and ordinary priority, whoever starts it. The
// destructor waits for all. What a task throws is logged, and ends that task alone.
class Tasks {
  public:
    Tasks();
    ~Tasks();
    Tasks(const Tasks&) = delete;
    Tasks& operator=(const Tasks&) = delete;

    // Never blocks, and never fails: where no thread can be made the work waits for the one that was made in time.
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
    struct Work {
        std::string name;
        std::function<void()> run;
    };
    void reap();
    void work_off();
    static void run(const Work& work);

    std::mutex mutex_;
    std::list<Task> tasks_;
    std::atomic<bool> stopping_ = false;
    std::condition_variable queued_, idle_;
    std::deque<Work> queue_; // what found no thread of its own
    bool working_ = false, ending_ = false;
    std::thread spare_;
};

} // namespace tripod::vm
