# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_library,tripod-record,$(wildcard dom0-daemon/src/record/*.cpp)))
$(eval $(call cxx_library,tripod-wire,$(wildcard dom0-daemon/src/wire/*.cpp)))
