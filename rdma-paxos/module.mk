# SPDX-License-Identifier: Apache-2.0
#
# The replicated log over RDMA: the library, its simulator, its checkers, its benchmark, its tests.

PAXOS_PARTS := consensus fabric rendezvous storage waiting
PAXOS_SOURCES := $(foreach part,$(PAXOS_PARTS),$(wildcard rdma-paxos/src/$(part)/*.cpp))
PAXOS_LIBS := -libverbs -lsodium -lfmt -lrt
PAXOS_SIM := rdma-paxos-sim rdma-paxos-checking rdma-paxos
paxos_tests = $(patsubst %,tests/paxos/%_test.cpp,$(1))

$(eval $(call cxx_library,rdma-paxos,$(PAXOS_SOURCES)))
$(eval $(call cxx_library,rdma-paxos-checking,$(wildcard rdma-paxos/src/checking/*.cpp)))
$(eval $(call cxx_library,rdma-paxos-sim,$(filter-out %_main.cpp,$(wildcard rdma-paxos/src/sim/*.cpp))))
$(eval $(call cxx_program,rdma-paxos-sim,rdma-paxos/src/sim/sim_main.cpp,$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-trace,rdma-paxos/model/trace_main.cpp,$(PAXOS_SIM),$(PAXOS_LIBS)))

$(eval $(call cxx_library,rdma-paxos-tools,rdma-paxos/bench/member.cpp rdma-paxos/bench/probe.cpp))
$(eval $(call cxx_program,rdma-paxos-bench,rdma-paxos/bench/bench_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-node,rdma-paxos/bench/node_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))

$(eval $(call cxx_test,paxos-format-test,$(call paxos_tests,log_ring board frame key_handshake cluster_key),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-linearizability-test,$(call paxos_tests,linearizability),rdma-paxos-checking,-lfmt))
$(eval $(call cxx_test,paxos-rendezvous-test,$(call paxos_tests,tcp_rendezvous tcp_rendezvous_strangers),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-replica-test,$(call paxos_tests,replica membership leadership),$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-shm-test,$(call paxos_tests,shm),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-simulation-test,$(call paxos_tests,simulation),$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-storage-test,$(wildcard tests/paxos/storage*.cpp),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-verbs-test,$(call paxos_tests,verbs_fabric),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-waiting-test,$(call paxos_tests,waiting),rdma-paxos,$(PAXOS_LIBS)))
