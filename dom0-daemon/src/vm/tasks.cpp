// SPDX-License-Identifier: Apache-2.0
#include "vm/tasks.h"

#include <exception>
#include <system_error>

#include <pthread.h>
#include <sched.h>

#include "base/log.h"

namespace tripod::vm {

namespace {

void name_thread(std::thread& thread, const std::string& name) {
    pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
}

} // namespace

Tasks::Tasks() : spare_([this] { work_off(); }) {
    name_thread(spare_, "spare");
}

Tasks::~Tasks() {
    wait();
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    queued_.notify_one();
    spare_.join();
}

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

void Tasks::run(const Work& work) {
    // Started by a group's thread it would keep that one's real-time priority, and so would the scripts that libxl
    // runs.
    const sched_param none{};
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
    try {
        work.run();
    } catch (const std::exception& error) {
        log::error("{}: {}", work.name, error.what());
    }
}

void Tasks::start(const std::string& name, std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    reap();
    Work item{name, std::move(work)};
    Task& task = tasks_.emplace_back();
    try {
        task.thread = std::thread([&task, item] {
            run(item);
            task.done = true;
        });
        name_thread(task.thread, name);
    } catch (const std::system_error& error) {
        log::error("{}: no thread of its own: {}", name, error.what());
        tasks_.pop_back();
        queue_.push_back(std::move(item));
        queued_.notify_one();
    }
}

void Tasks::work_off() {
    std::unique_lock lock(mutex_);
    while (true) {
        queued_.wait(lock, [this] { return !queue_.empty() || ending_; });
        if (queue_.empty())
            return;
        working_ = true;
        {
            const Work work = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            run(work);
        } // what it holds goes while the lock is free
        lock.lock();
        working_ = false;
        idle_.notify_all();
    }
}

void Tasks::wait() {
    while (true) {
        std::list<Task> running;
        {
            std::unique_lock lock(mutex_);
            idle_.wait(lock, [this] { return queue_.empty() && !working_; });
            running.splice(running.end(), tasks_);
        }
        if (running.empty())
            return;
        for (Task& task : running)
            task.thread.join();
    }
}

} // namespace tripod::vm
