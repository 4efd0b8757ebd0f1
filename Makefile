# SPDX-License-Identifier: Apache-2.0
#
# The commands of the project. `make help` lists them; each installs what it needs and may be repeated.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PACKAGES_STAMP := build/stamp/packages
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif

include scripts/build.mk
include rdma-paxos/module.mk
include guest-tools/module.mk
include dom0-daemon/module.mk
include hypervisor-patches/module.mk
include tests/module.mk
include scripts/module.mk

FUZZ_PROGRAMS := $(addprefix build/fuzz/bin/,$(FUZZ_TARGETS))

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PACKAGES_STAMP): scripts/packages.txt scripts/install-packages
	@scripts/install-packages
	@mkdir -p $(@D) && touch $@

.PHONY: packages
packages: $(PACKAGES_STAMP) ## install the Debian packages that the other targets need

.PHONY: all
all: $(PACKAGES_STAMP) tripodd tripod ## build the daemon, the commands and the tools

.PHONY: unit
unit: $(PACKAGES_STAMP) build/kernel/vmlinux $(UNIT_TESTS) $(FUZZ_PROGRAMS) rdma-paxos-trace ## run the unit tests alone
	@scripts/run-tests "scripts/run-unit-tests $(addprefix $(BUILD)/bin/,$(UNIT_TESTS))" "scripts/run-fuzz smoke $(FUZZ_PROGRAMS)" \
	    "$(CHECK_MODEL)"

CHECK_MODEL := scripts/check-model $(BUILD)/test/model $(BUILD)/bin/rdma-paxos-trace
.PHONY: model
model: $(PACKAGES_STAMP) rdma-paxos-trace ## check the model of rdma-paxos with Spin, and simulated runs against the model
	@$(CHECK_MODEL) $(MODEL_RUNS)

PAXOS_TESTS := $(filter paxos-%,$(UNIT_TESTS))
.PHONY: paxos-unit sanitize
paxos-unit: $(PACKAGES_STAMP) $(PAXOS_TESTS) ## run the unit and simulator tests of rdma-paxos alone
	@scripts/run-unit-tests $(addprefix $(BUILD)/bin/,$(PAXOS_TESTS))
sanitize: $(PACKAGES_STAMP) ## run those under ASan and UBSan, then under TSan (ten minutes or more)
	@scripts/run-tests "$(MAKE) --no-print-directory SANITIZE=address,undefined paxos-unit" \
	    "$(MAKE) --no-print-directory SANITIZE=thread paxos-unit"

.PHONY: fuzz fuzz-smoke
fuzz: $(FUZZ_PROGRAMS) ## feed random bytes to every reader of foreign bytes, FUZZ_SECONDS (60) each; fuzz-NAME for one
	@scripts/run-fuzz $(FUZZ_SECONDS) $^
fuzz-smoke: $(FUZZ_PROGRAMS) ## the same for some seconds, as `make unit` does
	@scripts/run-fuzz smoke $^

.PHONY: lint print-cppflags
lint: $(PACKAGES_STAMP) ## check the sources: layout, code, scripts, licences
	@scripts/lint
print-cppflags:
	@echo $(filter-out -MMD -MP,$(CPPFLAGS)) -isystem /usr/include/libnl3 -D__XEN_TOOLS__ -std=gnu++20

.PHONY: test
test: $(PACKAGES_STAMP) ## run all tests
	@scripts/run-tests "$(MAKE) --no-print-directory unit" "$(MAKE) --no-print-directory lab-test"

.PHONY: clean
clean: ## remove what was built from this tree's sources
	@rm -rf build/obj build/lib build/bin build/other-interface build/san-* build/fuzz/obj build/fuzz/bin build/drill build/test

.PHONY: distclean
distclean: ## remove everything the targets made, downloads included
	@rm -rf build
