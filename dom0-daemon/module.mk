# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_library,tripod-record,$(wildcard dom0-daemon/src/record/*.cpp)))
$(eval $(call cxx_library,tripod-wire,$(wildcard dom0-daemon/src/wire/*.cpp)))
# The command's main() alone is in no library.
$(eval $(call cxx_library,tripod-front,$(filter-out %/cli/main.cpp,$(wildcard $(addprefix dom0-daemon/src/,base/*.cpp \
    config/*.cpp control/*.cpp events/*.cpp cli/*.cpp)))))
$(eval $(call cxx_program,tripod,dom0-daemon/src/cli/main.cpp,tripod-front tripod-record tripod-wire,-lfmt -lxxhash -lpthread))
$(eval $(call cxx_library,tripod-net,$(wildcard dom0-daemon/src/net/*.cpp)))
$(BUILD)/obj/dom0-daemon/src/net/%.o: CPPFLAGS += -isystem /usr/include/libnl3
TRIPOD_NET_LDLIBS := -lnl-route-3 -lnl-3 -lfmt

# The daemon's core. Xen's headers use anonymous unions, which strict C++ mode refuses, and show the domctl to tools only.
$(eval $(call cxx_library,tripod-xen-rings,$(wildcard dom0-daemon/src/xen/*_ring.cpp)))
$(eval $(call cxx_library,tripod-xen,$(filter-out %_ring.cpp,$(wildcard dom0-daemon/src/xen/*.cpp))))
$(BUILD)/obj/dom0-daemon/src/xen/%.o: CXXFLAGS += -std=gnu++20
$(BUILD)/obj/dom0-daemon/src/xen/%.o: CPPFLAGS += -D__XEN_TOOLS__
$(eval $(call cxx_library,tripod-gate,$(wildcard dom0-daemon/src/gate/*.cpp)))
$(eval $(call cxx_library,tripod-replicate,$(wildcard dom0-daemon/src/replicate/*.cpp)))
$(eval $(call cxx_library,tripod-peer,$(wildcard dom0-daemon/src/peer/*.cpp)))
$(eval $(call cxx_library,tripod-core,$(filter-out %/daemon/main.cpp,$(wildcard $(addprefix dom0-daemon/src/,group/*.cpp vm/*.cpp \
    protect/*.cpp failover/*.cpp daemon/*.cpp)))))
TRIPODD_LIBRARIES := tripod-core tripod-peer tripod-replicate tripod-gate tripod-xen tripod-xen-rings tripod-net tripod-front tripod-record \
    tripod-wire guest-profile rdma-paxos
TRIPODD_LDLIBS := -lxenlight -lxlutil -lxencall -lxenforeignmemory -lxenevtchn -lxentoollog -llz4 -lxxhash $(TRIPOD_NET_LDLIBS) \
    -lnetfilter_queue -lmnl -lnftables \
    $(PROFILE_LDLIBS) $(PAXOS_LIBS) -lpthread
$(eval $(call cxx_program,tripodd,dom0-daemon/src/daemon/main.cpp,$(TRIPODD_LIBRARIES),$(TRIPODD_LDLIBS)))
