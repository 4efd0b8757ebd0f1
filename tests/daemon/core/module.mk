# SPDX-License-Identifier: Apache-2.0


$(eval $(call cxx_test,core-test,$(wildcard tests/daemon/core/*_test.cpp),tripod-core tripod-peer tripod-replicate tripod-gate tripod-xen \
    tripod-xen-rings tripod-net tripod-front tripod-record tripod-wire guest-profile rdma-paxos,$(TRIPODD_LDLIBS)))
