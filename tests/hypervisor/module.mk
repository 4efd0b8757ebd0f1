# SPDX-License-Identifier: GPL-2.0-only
#
# The hypervisor's own C files in user space. What only Xen can do (control.c, guest_memory.c) the harness does.
TRIPOD_C := hypervisor-patches/xen/arch/x86/pv/tripod
TRIPOD_C_SOURCES := $(filter-out %/control.c %/guest_memory.c,$(wildcard $(TRIPOD_C)/*.c))

CPPFLAGS += -Itests/hypervisor -I$(dir $(TRIPOD_C))
$(eval $(call cxx_test,hypervisor-test,$(wildcard tests/hypervisor/*.cpp) $(TRIPOD_C_SOURCES),,-lxxhash))
