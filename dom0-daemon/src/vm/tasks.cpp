// SPDX-License-Identifier: Apache-2.0
#include "vm/tasks.h"

#include <pthread.h>

namespace tripod::vm {

void Tasks::reap() {
    for (auto at = tasks_.begin(); at != tasks_.end();) {
        if (at->done) {
            at->thread.join();
            at = tasks_.erase(at);
        } else {
            ++at;
        }
    }
}

void Tasks::start(const std::string& name, std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    reap();
    Task& task = tasks_.emplace_back();
    task.thread = std::thread([&task, work = std::move(work)] {
        work();
        task.done = true;
    });
    pthread_setname_np(task.thread.native_handle(), name.substr(0, 15).c_str());
}

void Tasks::wait() {
    while (true) {
        std::list<Task> running;
        {
            const std::lock_guard lock(mutex_);
            running.splice(running.end(), tasks_);
        }
        if (running.empty())
            return;
        for (Task& task : running)
            task.thread.join();
    }
}

} // namespace tripod::vm
