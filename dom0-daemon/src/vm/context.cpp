// SPDX-License-Identifier: Apache-2.0
#include "vm/context.h"

namespace tripod::vm {

Result<void> Context::fit() const {
    if (!xen_interface_version)
        return fail(ErrorCode::host_unfit, "Xen on " + config.host + " is not the patched one",
                    "boot the hypervisor that \"make xen\" builds");
    if (*xen_interface_version != TRIPOD_INTERFACE_VERSION)
        return fail(ErrorCode::host_unfit,
                    "Xen on " + config.host + " has interface version " + std::to_string(*xen_interface_version) +
                        ", this daemon " + std::to_string(TRIPOD_INTERFACE_VERSION),
                    "install hypervisor and daemon of the same release");
    if (!fabrics)
        return fail(ErrorCode::host_unfit,
                    config.host + " has no RDMA device" +
                        (config.rdma_device.empty() ? "" : " named " + config.rdma_device),
                    "see ibv_devices; \"rdma link add rxe0 type rxe netdev ETH\" makes one of any Ethernet card");
    return {};
}

} // namespace tripod::vm
