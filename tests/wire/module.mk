# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_test,wire-test,$(addprefix tests/wire/,frame_test.cpp frame_stream_test.cpp),tripod-wire,-lfmt -lxxhash))

# Needs clang, which nothing else does: built on demand, outside of `make test`.
FUZZ_SECONDS ?= 60
.PHONY: fuzz-frame
fuzz-frame: ## feed random bytes to the readers of frames, requests and records for FUZZ_SECONDS
	@command -v clang++ > /dev/null || { echo 'fuzz-frame needs clang++: apt-get install clang' >&2; exit 1; }
	@mkdir -p build/fuzz/corpus
	@clang++ -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(CPPFLAGS) -MF build/fuzz/fuzz_frame.d \
	    -o build/fuzz/fuzz_frame tests/wire/fuzz_frame.cpp $(wildcard dom0-daemon/src/wire/*.cpp dom0-daemon/src/record/*.cpp) \
	    dom0-daemon/src/control/request.cpp dom0-daemon/src/control/json.cpp dom0-daemon/src/base/error.cpp -lfmt -lxxhash
	@build/fuzz/fuzz_frame -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=build/fuzz/ build/fuzz/corpus
