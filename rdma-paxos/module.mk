# SPDX-License-Identifier: Apache-2.0
#
# The replicated log over RDMA: the library, its simulator, its benchmark, its tests.

PAXOS_SOURCES := $(wildcard rdma-paxos/src/consensus/*.cpp rdma-paxos/src/fabric/*.cpp rdma-paxos/src/rendezvous/*.cpp rdma-paxos/src/storage/*.cpp)
PAXOS_LIBS := -libverbs -lfmt -lrt

$(eval $(call cxx_library,rdma-paxos,$(PAXOS_SOURCES)))
$(eval $(call cxx_library,rdma-paxos-sim,$(filter-out %_main.cpp,$(wildcard rdma-paxos/src/sim/*.cpp))))
$(eval $(call cxx_program,rdma-paxos-sim,rdma-paxos/src/sim/sim_main.cpp,rdma-paxos-sim rdma-paxos-checking rdma-paxos,$(PAXOS_LIBS)))

$(eval $(call cxx_library,rdma-paxos-checking,$(wildcard rdma-paxos/src/checking/*.cpp)))

$(eval $(call cxx_library,rdma-paxos-tools,rdma-paxos/bench/member.cpp rdma-paxos/bench/probe.cpp))
$(eval $(call cxx_program,rdma-paxos-bench,rdma-paxos/bench/bench_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-node,rdma-paxos/bench/node_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))

$(eval $(call cxx_test,paxos-format-test,tests/paxos/log_ring_test.cpp tests/paxos/board_test.cpp tests/paxos/frame_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-linearizability-test,tests/paxos/linearizability_test.cpp,rdma-paxos-checking,-lfmt))
$(eval $(call cxx_test,paxos-storage-test,$(wildcard tests/paxos/storage*_test.cpp),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-rendezvous-test,tests/paxos/tcp_rendezvous_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-replica-test,tests/paxos/replica_test.cpp,rdma-paxos-sim rdma-paxos-checking rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-shm-test,tests/paxos/shm_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-simulation-test,tests/paxos/simulation_test.cpp,rdma-paxos-sim rdma-paxos-checking rdma-paxos,$(PAXOS_LIBS)))

SEEDS ?= 20000
START ?= 1
.PHONY: sim
sim: rdma-paxos-sim ## simulate groups under faults: SEEDS=N START=S
	@$(BUILD)/bin/rdma-paxos-sim $(SEEDS) $(START)
