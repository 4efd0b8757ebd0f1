# SPDX-License-Identifier: Apache-2.0
#
# The replicated log over RDMA: the library, its simulator, its benchmark, its tests.

PAXOS_SOURCES := $(wildcard rdma-paxos/src/consensus/*.cpp rdma-paxos/src/fabric/*.cpp rdma-paxos/src/rendezvous/*.cpp \
                            rdma-paxos/src/waiting/*.cpp)
PAXOS_LIBS := -libverbs -lfmt -lrt

$(eval $(call cxx_library,rdma-paxos,$(PAXOS_SOURCES)))
$(eval $(call cxx_library,rdma-paxos-sim,$(filter-out %_main.cpp,$(wildcard rdma-paxos/src/sim/*.cpp))))
$(eval $(call cxx_program,rdma-paxos-sim,rdma-paxos/src/sim/sim_main.cpp,rdma-paxos-sim rdma-paxos,$(PAXOS_LIBS)))

$(eval $(call cxx_library,rdma-paxos-tools,rdma-paxos/bench/member.cpp rdma-paxos/bench/probe.cpp \
    rdma-paxos/bench/station.cpp rdma-paxos/bench/series.cpp rdma-paxos/bench/failover.cpp rdma-paxos/bench/results.cpp \
    rdma-paxos/bench/allocations.cpp))
$(eval $(call cxx_program,rdma-paxos-bench,rdma-paxos/bench/bench_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-node,rdma-paxos/bench/node_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))

$(eval $(call cxx_test,paxos-format-test,tests/paxos/log_ring_test.cpp tests/paxos/board_test.cpp tests/paxos/frame_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-rendezvous-test,tests/paxos/tcp_rendezvous_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-replica-test,tests/paxos/replica_test.cpp,rdma-paxos-sim rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-shm-test,tests/paxos/shm_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-simulation-test,tests/paxos/simulation_test.cpp,rdma-paxos-sim rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-verbs-test,tests/paxos/verbs_fabric_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-waiting-test,tests/paxos/waiting_test.cpp,rdma-paxos,$(PAXOS_LIBS)))
