# SPDX-License-Identifier: Apache-2.0
#
# How C++ becomes programs. One module.mk per top-level folder calls the macros below; nothing else
# compiles C++. Objects go to build/obj/<path of the source>.o, libraries to build/lib, programs to build/bin.
#
#   $(call cxx_library,NAME,SOURCES)                 build/lib/libNAME.a
#   $(call cxx_program,NAME,SOURCES,LIBRARIES,LDLIBS) build/bin/NAME
#   $(call cxx_test,NAME,SOURCES,LIBRARIES,LDLIBS)    build/bin/NAME, linked with GoogleTest and run by `make unit`
#   $(call cxx_fuzz,NAME,SOURCES,LDLIBS)              build/fuzz/bin/NAME, a libFuzzer target, run by `make fuzz`, `make unit`
#
# SOURCES of a fuzz target are its own and all that it tests: clang++ compiles them anew, with its sanitizers. Inputs to
# begin with may lie in tests/FOLDER/fuzz/corpus/NAME.
# SOURCES may hold .c files too: the hypervisor's, compiled as Xen compiles them.
# LIBRARIES are names given to cxx_library, the user before the used; LDLIBS are system libraries (-lfoo).
# SANITIZE=address,undefined (or thread) builds everything with that sanitizer, in its own folder.

SANITIZE ?=
FUZZ_SECONDS ?= 60
comma := ,
BUILD := build$(if $(SANITIZE),/san-$(subst $(comma),-,$(SANITIZE)))

# Two words that were just stored one by one must not be loaded by one instruction: the processor would wait until
# both have left its store buffer. The commit path lost a fifth of its time to that (-fno-tree-slp-vectorize).
CXX := g++
CPPFLAGS += -Irdma-paxos/include -Irdma-paxos/src -Ihypervisor-patches/include -Idom0-daemon/src -Iguest-tools/src -MMD -MP
CXXFLAGS += -std=c++20 -O2 -g -fno-omit-frame-pointer -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion \
            -Wnon-virtual-dtor -Woverloaded-virtual -Werror -fno-tree-slp-vectorize $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
CFLAGS   := -std=gnu99 -O2 -g -fno-omit-frame-pointer -fno-strict-aliasing -Wall -Wstrict-prototypes -Wdeclaration-after-statement \
            -Wno-pointer-arith -Werror $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
# TSan knows no fences; what it says of the mailboxes in shared memory, which use them, is to be read with that in mind.
CXXFLAGS += $(if $(findstring thread,$(SANITIZE)),-Wno-tsan)
LDFLAGS  += $(if $(SANITIZE),-fsanitize=$(SANITIZE))

UNIT_TESTS :=
FUZZ_TARGETS :=
CXX_SOURCES :=

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(patsubst %.cpp,$(BUILD)/obj/%.o,$(1)))
archives = $(foreach l,$(1),$(BUILD)/lib/lib$(l).a)

define cxx_library
CXX_SOURCES += $$(filter %.cpp,$(2))
$(BUILD)/lib/lib$(1).a: $(call objects,$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef

define cxx_program
CXX_SOURCES += $$(filter %.cpp,$(2))
$(BUILD)/bin/$(1): $(call objects,$(2)) $(call archives,$(3))
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$(CXX) $(LDFLAGS) -o $$@ $(call objects,$(2)) -Wl,--start-group $(call archives,$(3)) -Wl,--end-group $(4)
.PHONY: $(1)
$(1): $(BUILD)/bin/$(1)
endef

define cxx_test
$(call cxx_program,$(1),$(2),$(3),-lgtest_main -lgtest -lgmock $(4) -lpthread)
UNIT_TESTS += $(1)
endef

define cxx_fuzz
FUZZ_TARGETS += $(1)
build/fuzz/bin/$(1): $(patsubst %.cpp,build/fuzz/obj/%.o,$(2))
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@clang++ $(FUZZ_FLAGS) -o $$@ $$^ $(3)
.PHONY: fuzz-$(1)
fuzz-$(1): build/fuzz/bin/$(1)
	@scripts/run-fuzz $(FUZZ_SECONDS) $$<
endef

# Everything compiled also depends on the packages being there.
$(BUILD)/obj/%.o: %.cpp | $(PACKAGES_STAMP)
	@mkdir -p $(@D)
	@echo "  CXX   $<"
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

build/fuzz/obj/%.o: %.cpp | $(PACKAGES_STAMP)
	@mkdir -p $(@D)
	@echo "  FUZZ  $<"
	@clang++ $(CPPFLAGS) -std=c++20 -O1 -g -fno-omit-frame-pointer $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(PACKAGES_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

-include $(shell find $(BUILD)/obj build/fuzz/obj -name '*.d' 2>/dev/null)
