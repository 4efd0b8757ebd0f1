// SPDX-License-Identifier: Apache-2.0
//
// Copies a running VM's state to all its backups at once: suspend, save, switch to recording, resume.
#pragma once

#include <vector>

#include "protect/backup_link.h"
#include "vm/primary_vm.h"

namespace tripod::protect {

// The VM stands still while this copies. On success it is recorded and runs, and every backup has received the
// whole stream (and may still be restoring). On failure it runs on with its mode unchanged. Counts into `vm`.
Result<void> send_state(vm::Context& context, vm::PrimaryVm& vm, std::vector<BackupLink>& backups,
                        uint64_t memory_kib, Progress& progress);

} // namespace tripod::protect
