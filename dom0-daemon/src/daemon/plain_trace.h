// SPDX-License-Identifier: Apache-2.0
//
// Traces a VM that is not protected: TRIPOD_MODE_trace for as long as somebody looks.
#pragma once

#include "control/service.h"
#include "vm/context.h"

namespace tripod::daemon {

// See Service::trace. The VM is left as it was found.
Result<void> trace_unprotected(vm::Context& context, const std::string& vm, TraceSink& sink);

} // namespace tripod::daemon
