# SPDX-License-Identifier: Apache-2.0

include tests/wire/module.mk
include tests/guest-tools/module.mk
include tests/daemon/module.mk
include tests/net/module.mk
include tests/drill/module.mk
include tests/hypervisor/module.mk
include tests/bench/module.mk
include tests/lab/module.mk
