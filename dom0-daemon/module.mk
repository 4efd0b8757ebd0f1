# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_library,tripod-record,$(wildcard dom0-daemon/src/record/*.cpp)))
$(eval $(call cxx_library,tripod-wire,$(wildcard dom0-daemon/src/wire/*.cpp)))
# The command's main() alone is in no library.
$(eval $(call cxx_library,tripod-front,$(filter-out %/cli/main.cpp,$(wildcard $(addprefix dom0-daemon/src/,base/*.cpp \
    config/*.cpp control/*.cpp events/*.cpp cli/*.cpp)))))
