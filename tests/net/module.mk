# SPDX-License-Identifier: Apache-2.0
$(eval $(call cxx_test,net-test,$(wildcard tests/net/*.cpp),tripod-net,$(TRIPOD_NET_LDLIBS)))
