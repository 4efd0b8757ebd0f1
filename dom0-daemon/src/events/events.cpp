// SPDX-License-Identifier: Apache-2.0
#include "events/events.h"

#include <ctime>

#include "base/log.h"

namespace tripod {

Events::Events(std::size_t capacity, Clock clock) : capacity_(capacity), clock_(clock) {}

void Events::add(std::string_view vm, std::string_view name, std::string_view detail) {
    const std::int64_t now_ns = clock_();
    {
        const std::lock_guard lock(mutex_);
        auto it = by_vm_.find(vm);
        if (it == by_vm_.end())
            it = by_vm_.emplace(std::string(vm), std::vector<Event>{}).first;
        if (it->second.size() >= capacity_)
            it->second.erase(it->second.begin());
        it->second.push_back({std::string(name), now_ns, std::string(detail)});
    }
    log::info("{}: {}{}{}", vm, name, detail.empty() ? "" : ": ", detail);
}

std::vector<Event> Events::of(std::string_view vm) const {
    const std::lock_guard lock(mutex_);
    const auto it = by_vm_.find(vm);
    return it == by_vm_.end() ? std::vector<Event>{} : it->second;
}

std::int64_t Events::last_ns(std::string_view vm, std::string_view name) const {
    const std::lock_guard lock(mutex_);
    if (const auto it = by_vm_.find(vm); it != by_vm_.end())
        for (auto event = it->second.rbegin(); event != it->second.rend(); ++event)
            if (event->name == name)
                return event->time_ns;
    return 0;
}

void Events::forget(std::string_view vm) {
    const std::lock_guard lock(mutex_);
    if (const auto it = by_vm_.find(vm); it != by_vm_.end())
        by_vm_.erase(it);
}

std::int64_t Events::realtime_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

} // namespace tripod
