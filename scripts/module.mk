# SPDX-License-Identifier: Apache-2.0
#
# The lab: what its hosts are made of, and the commands that start and stop them.

$(eval $(call cxx_library,lab-frame,scripts/lab/agent/frame.cpp))
$(eval $(call cxx_program,host-agent,scripts/lab/agent/host_agent.cpp,lab-frame,-static))
$(eval $(call cxx_program,host-exec,scripts/lab/agent/host_exec.cpp,lab-frame))

# build-xen finds out by itself what has changed, so it always runs; it writes its results only when they differ.
.PHONY: xen
xen: $(PACKAGES_STAMP) ## build the patched hypervisor and the patched xl
	@scripts/build-xen
build/lab/xen build/lab/xl: xen ;

build/kernel/vmlinux: scripts/fetch-kernel | $(PACKAGES_STAMP)
	@scripts/fetch-kernel build/kernel
	@touch $@

build/lab/guest.img: scripts/lab/guest-image scripts/lab/image-lib.sh scripts/lab/guest-init scripts/lab/servers/redis \
                     build/kernel/vmlinux build/bin/syscall-cost
	@scripts/lab/guest-image $@

LAB_SERVERS := $(patsubst scripts/lab/servers/%,build/lab/servers/%.img,$(wildcard scripts/lab/servers/*))
build/lab/servers/%.img: scripts/lab/servers/% scripts/lab/server-image scripts/lab/image-lib.sh build/lab/guest.img
	@scripts/lab/server-image $* $@

build/lab/dom0.img: scripts/lab/dom0-image scripts/lab/image-lib.sh scripts/lab/dom0-init $(wildcard scripts/lab/dom0-etc/*) \
                    build/kernel/vmlinux build/lab/guest.img build/lab/xl build/bin/host-agent
	@scripts/lab/dom0-image $@

.PHONY: lab-images
lab-images: build/lab/xen build/lab/dom0.img build/bin/host-exec build/bin/server-load $(LAB_SERVERS)

.PHONY: lab lab-down
lab: lab-images ## start three emulated Xen hosts and leave them running
	@scripts/lab/lab up --web1
	@scripts/lab/lab help-hosts

lab-down: ## stop the hosts that `make lab` started
	@scripts/lab/lab down

.PHONY: lab-test
lab-test: lab-images all lab-test-tools ## run the tests that need emulated hosts
	@scripts/run-lab-tests

SOAK ?= 5
SOAK_UNIT_TESTS := paxos-simulation-test paxos-storage-test
.PHONY: soak
soak: lab-images all lab-test-tools $(SOAK_UNIT_TESTS) ## test again and again, SOAK=5 rounds: all lab tests, and seeds that no round had before
	@scripts/soak $(SOAK) $(addprefix $(BUILD)/bin/,$(SOAK_UNIT_TESTS))

# Labs that still run would lose the files by which they are stopped.
.PHONY: stop-labs
stop-labs:
	@for run in build/lab/run/*/; do [ ! -d "$$run" ] || LAB=$$(basename "$$run") scripts/lab/lab down; done
distclean: stop-labs

.PHONY: drill
drill: lab-images all redis-load ## lose a host under load, and see whether anything acknowledged was lost
	@scripts/drill $(DRILL)

.PHONY: bench
bench: lab-images all rdma-paxos-bench interception redis-load server-load ## measure: commit latency, redis, other servers, failover, cost of interception
	@scripts/bench

build/etcd/root/usr/bin/etcd: scripts/fetch-etcd | $(PACKAGES_STAMP)
	@scripts/fetch-etcd build/etcd

.PHONY: bench-paxos
bench-paxos: lab-images rdma-paxos-bench etcd-load build/etcd/root/usr/bin/etcd ## measure the replicated log against the bare fabric and etcd: BENCH='-q shm'
	@scripts/bench-paxos $(BENCH)
