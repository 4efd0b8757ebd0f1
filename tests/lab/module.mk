# SPDX-License-Identifier: Apache-2.0
#
# What the lab's tests need beside the daemon: a stranger at its doors, a daemon of another release, a Xen without Tripod.

$(eval $(call cxx_program,hostile-client,tests/lab/hostile/hostile_client.cpp,tripod-wire,-lfmt -lxxhash -lpthread))

# tripodd as it would be after a change of the hypervisor's interface: the sources that name its version, compiled with
# another one, and all else as it is.
OTHER_INTERFACE := $(BUILD)/other-interface
OTHER_INTERFACE_SOURCES := $(addprefix dom0-daemon/src/,daemon/daemon.cpp peer/messages.cpp protect/backup_link.cpp protect/protector.cpp \
    vm/context.cpp xen/domctl.cpp xen/shared_pages.cpp)
OTHER_INTERFACE_OBJECTS := $(patsubst %.cpp,$(OTHER_INTERFACE)/obj/%.o,$(OTHER_INTERFACE_SOURCES))

$(OTHER_INTERFACE)/include/public/tripod.h: hypervisor-patches/include/public/tripod.h
	@mkdir -p $(@D)
	@sed 's/^#define TRIPOD_INTERFACE_VERSION .*/#define TRIPOD_INTERFACE_VERSION 999u/' $< > $@
	@grep -q 999u $@

$(OTHER_INTERFACE)/obj/dom0-daemon/src/xen/%.o: CPPFLAGS += -D__XEN_TOOLS__
$(OTHER_INTERFACE)/obj/dom0-daemon/src/xen/%.o: CXXFLAGS += -std=gnu++20
$(OTHER_INTERFACE)/obj/%.o: %.cpp $(OTHER_INTERFACE)/include/public/tripod.h | $(PACKAGES_STAMP)
	@mkdir -p $(@D)
	@echo "  CXX   $< (interface 999)"
	@$(CXX) -I$(OTHER_INTERFACE)/include $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(OTHER_INTERFACE)/tripodd: $(OTHER_INTERFACE_OBJECTS) $(BUILD)/bin/tripodd
	@echo "  LINK  $@"
	@$(CXX) $(LDFLAGS) -o $@ $(BUILD)/obj/dom0-daemon/src/daemon/main.o $(OTHER_INTERFACE_OBJECTS) \
	    -Wl,--start-group $(call archives,$(TRIPODD_LIBRARIES)) -Wl,--end-group $(TRIPODD_LDLIBS)

-include $(OTHER_INTERFACE_OBJECTS:.o=.d)

build/lab/stock-xen: scripts/fetch-stock-xen | $(PACKAGES_STAMP)
	@scripts/fetch-stock-xen $@

.PHONY: lab-test-tools
lab-test-tools: redis-load server-load ways-out hostile-client $(OTHER_INTERFACE)/tripodd build/lab/stock-xen

# The guest's ways out, for the test `silence`: static, for the guest has no libraries of ours. The 32-bit one has no
# library at all.
$(eval $(call cxx_program,ways-out,tests/lab/ways-out/ways_out.cpp,,-static))
$(BUILD)/bin/ways-out32: tests/lab/ways-out/ways_out32.c
	@echo "  CC    $<"
	@$(CC) -m32 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pic -no-pie -O2 -Wall -Wextra -Werror -o $@ $<
build/lab/servers/ways-out.img: $(BUILD)/bin/ways-out $(BUILD)/bin/ways-out32
