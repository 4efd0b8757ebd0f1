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
