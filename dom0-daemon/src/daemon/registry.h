// SPDX-License-Identifier: Apache-2.0
//
// The replicas on this host, by the VM's name. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vm/replica_vm.h"

namespace tripod::daemon {

class Registry {
  public:
    // already_protected when there is a replica of that VM.
    Result<void> add(const std::shared_ptr<vm::ReplicaVm>& vm);
    void remove(const std::shared_ptr<vm::ReplicaVm>& vm);
    // By the VM's name, the copy's own name (NAME--incoming), or the domain's number. Null: none.
    std::shared_ptr<vm::ReplicaVm> find(const std::string& vm);
    // By name; those that have finished are dropped.
    std::vector<std::shared_ptr<vm::ReplicaVm>> all();

  private:
    void drop_finished();

    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<vm::ReplicaVm>> by_name_;
};

} // namespace tripod::daemon
