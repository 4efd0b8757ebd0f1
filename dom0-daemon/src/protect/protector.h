// SPDX-License-Identifier: Apache-2.0
//
// `tripod protect`: from the admin's request to a VM that is recorded here and followed by every backup.
#pragma once

#include <functional>
#include <memory>

#include "control/service.h"
#include "vm/primary_vm.h"

namespace tripod::protect {

// unsupported_guest where a copy of a VM with this configuration could do harm, on either host: it has disks.
Result<void> replicable(const xen::DomainConfig& config);

// This host's greeting.
peer::Hello make_hello(const vm::Context& context);

// `admit` enters the VM into the registry once the checks are passed, so that it is listed as "protecting"; its
// error ends the attempt. `dismiss` takes it out again when the rest fails.
struct Registry {
    std::function<Result<void>(const std::shared_ptr<vm::PrimaryVm>&)> admit;
    std::function<void(const std::shared_ptr<vm::PrimaryVm>&)> dismiss;
};

// Blocks for as long as it takes. An error has changed nothing: the VM runs on unprotected.
Result<std::shared_ptr<vm::PrimaryVm>> protect(vm::Context& context, const ProtectRequest& request,
                                               const Registry& registry, Progress& progress);

} // namespace tripod::protect
