// SPDX-License-Identifier: Apache-2.0
#include "daemon/registry.h"

#include "vm/backup_vm.h"

namespace tripod::daemon {

void Registry::drop_finished() {
    std::erase_if(by_name_, [](const auto& item) { return item.second->finished(); });
}

Result<void> Registry::add(const std::shared_ptr<vm::ReplicaVm>& vm) {
    const std::lock_guard lock(mutex_);
    drop_finished();
    if (!by_name_.emplace(vm->name(), vm).second)
        return fail(ErrorCode::already_protected, "there is a replica of " + vm->name() + " on this host already",
                    "see \"tripod list\"");
    return {};
}

void Registry::remove(const std::shared_ptr<vm::ReplicaVm>& vm) {
    const std::lock_guard lock(mutex_);
    const auto at = by_name_.find(vm->name());
    if (at != by_name_.end() && at->second == vm)
        by_name_.erase(at);
}

std::shared_ptr<vm::ReplicaVm> Registry::find(const std::string& wanted) {
    const std::lock_guard lock(mutex_);
    drop_finished();
    for (const auto& [name, vm] : by_name_) {
        const auto domid = number(vm->domid());
        if (wanted == name || wanted == vm::BackupVm::incoming_name(name) ||
            (domid != 0 && wanted == std::to_string(domid)))
            return vm;
    }
    return nullptr;
}

std::vector<std::shared_ptr<vm::ReplicaVm>> Registry::all() {
    const std::lock_guard lock(mutex_);
    drop_finished();
    std::vector<std::shared_ptr<vm::ReplicaVm>> list;
    for (const auto& [name, vm] : by_name_)
        list.push_back(vm);
    return list;
}

} // namespace tripod::daemon
