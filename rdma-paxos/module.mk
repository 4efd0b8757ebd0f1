# SPDX-License-Identifier: Apache-2.0
#
# The replicated log over RDMA: the library, its simulator, its checkers, its benchmark, its tests.

PAXOS_PARTS := consensus fabric rendezvous storage waiting
PAXOS_SOURCES := $(foreach part,$(PAXOS_PARTS),$(wildcard rdma-paxos/src/$(part)/*.cpp))
PAXOS_LIBS := -libverbs -lsodium -lfmt -lrt -lxxhash
PAXOS_SIM := rdma-paxos-sim rdma-paxos-checking rdma-paxos
paxos_tests = $(patsubst %,tests/paxos/%_test.cpp,$(1))

$(eval $(call cxx_library,rdma-paxos,$(PAXOS_SOURCES)))
$(eval $(call cxx_library,rdma-paxos-checking,$(wildcard rdma-paxos/src/checking/*.cpp)))
$(eval $(call cxx_library,rdma-paxos-sim,$(filter-out %_main.cpp,$(wildcard rdma-paxos/src/sim/*.cpp))))
$(eval $(call cxx_program,rdma-paxos-sim,rdma-paxos/src/sim/sim_main.cpp,$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-trace,rdma-paxos/model/trace_main.cpp,$(PAXOS_SIM),$(PAXOS_LIBS)))

$(eval $(call cxx_library,rdma-paxos-tools,rdma-paxos/bench/member.cpp rdma-paxos/bench/probe.cpp \
    rdma-paxos/bench/station.cpp rdma-paxos/bench/series.cpp rdma-paxos/bench/failover.cpp rdma-paxos/bench/results.cpp \
    rdma-paxos/bench/allocations.cpp rdma-paxos/tools/peer_list.cpp))
$(eval $(call cxx_program,rdma-paxos-bench,rdma-paxos/bench/bench_main.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_program,etcd-load,rdma-paxos/bench/etcd_load.cpp rdma-paxos/bench/etcd_connection.cpp,rdma-paxos-tools rdma-paxos,$(PAXOS_LIBS)))

SEEDS ?= 20000
START ?= 1
.PHONY: sim
sim: rdma-paxos-sim ## simulate groups under faults: SEEDS=N START=S
	@$(BUILD)/bin/rdma-paxos-sim $(SEEDS) $(START)

$(eval $(call cxx_program,rdma-paxos-example,rdma-paxos/example/counter.cpp,rdma-paxos,$(PAXOS_LIBS)))
.PHONY: example
example: $(PACKAGES_STAMP) rdma-paxos-example ## run the example of rdma-paxos/README.md
	@$(BUILD)/bin/rdma-paxos-example

# A node that serves registers, its client, and the checker of what clients saw: for the lab.
PAXOS_NODE := rdma-paxos-node rdma-paxos-checking rdma-paxos
$(eval $(call cxx_library,rdma-paxos-node,$(filter-out %_main.cpp,$(wildcard rdma-paxos/tools/*.cpp))))
$(eval $(call cxx_program,rdma-paxos-node,rdma-paxos/tools/node_main.cpp,$(PAXOS_NODE),$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-client,rdma-paxos/tools/client_main.cpp,$(PAXOS_NODE),$(PAXOS_LIBS)))
$(eval $(call cxx_program,rdma-paxos-check-history,rdma-paxos/tools/check_history_main.cpp,rdma-paxos-checking,-lfmt))

$(eval $(call cxx_test,paxos-allocation-test,$(call paxos_tests,allocation) rdma-paxos/bench/allocations.cpp,rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-example-test,$(call paxos_tests,example)))
$(BUILD)/bin/paxos-example-test: $(BUILD)/bin/rdma-paxos-example
$(eval $(call cxx_test,paxos-node-drill-test,$(call paxos_tests,node_drill)))
$(BUILD)/bin/paxos-node-drill-test: $(foreach p,node client check-history,$(BUILD)/bin/rdma-paxos-$(p))
$(eval $(call cxx_test,paxos-format-test,$(call paxos_tests,log_ring board frame key_handshake cluster_key),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-linearizability-test,$(call paxos_tests,linearizability history),rdma-paxos-checking,-lfmt))
$(eval $(call cxx_test,paxos-rendezvous-test,$(call paxos_tests,tcp_rendezvous tcp_rendezvous_strangers),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-replica-test,$(call paxos_tests,replica membership leadership durability) tests/paxos/storage_fake_disk.cpp,$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-shm-test,$(call paxos_tests,shm),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-simulation-test,$(call paxos_tests,simulation),$(PAXOS_SIM),$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-storage-test,$(wildcard tests/paxos/storage*.cpp),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-verbs-test,$(call paxos_tests,verbs_fabric locked_pages),rdma-paxos,$(PAXOS_LIBS)))
$(eval $(call cxx_test,paxos-waiting-test,$(call paxos_tests,waiting),rdma-paxos,$(PAXOS_LIBS)))

# What reads bytes of strangers, or of a disk.
$(eval $(call cxx_fuzz,handshake,tests/paxos/fuzz/fuzz_handshake.cpp $(wildcard rdma-paxos/src/rendezvous/*.cpp),-lsodium -lfmt))
$(eval $(call cxx_fuzz,entry,tests/paxos/fuzz/fuzz_entry.cpp \
    $(addprefix rdma-paxos/src/consensus/,log_ring.cpp hash.cpp),-lxxhash))
$(eval $(call cxx_fuzz,snapshot-point,tests/paxos/fuzz/fuzz_snapshot_point.cpp rdma-paxos/src/storage/snapshot_point.cpp \
    $(addprefix rdma-paxos/src/consensus/,membership_codec.cpp member_set.cpp hash.cpp),-lfmt -lxxhash))
$(eval $(call cxx_fuzz,recovery,tests/paxos/fuzz/fuzz_recovery.cpp tests/paxos/storage_fake_disk.cpp \
    $(wildcard rdma-paxos/src/storage/*.cpp) $(addprefix rdma-paxos/src/consensus/,membership_codec.cpp member_set.cpp hash.cpp),-lfmt -lxxhash))
