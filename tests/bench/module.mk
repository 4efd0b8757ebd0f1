# SPDX-License-Identifier: Apache-2.0

# Runs in the guest, which has no libraries of ours.
$(eval $(call cxx_program,syscall-cost,tests/bench/syscall_cost.cpp,,-static))
$(eval $(call cxx_program,interception,tests/bench/interception.cpp,tripod-xen guest-profile tripod-front tripod-wire,\
    -lxencall -lxenforeignmemory -lxenevtchn -lxenlight -lxentoollog $(PROFILE_LDLIBS) -lfmt -lxxhash -lpthread))

# The outside client of the benchmarks.
$(eval $(call cxx_library,bench-load,tests/bench/load_protocol.cpp))
$(eval $(call cxx_program,server-load,tests/bench/server_load.cpp,bench-load,-lfmt))
$(eval $(call cxx_test,bench-test,tests/bench/load_protocol_test.cpp,bench-load,-lfmt))
