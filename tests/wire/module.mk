# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_test,wire-test,$(addprefix tests/wire/,frame_test.cpp frame_stream_test.cpp),tripod-wire,-lfmt -lxxhash))

$(eval $(call cxx_fuzz,frame,tests/wire/fuzz_frame.cpp $(wildcard dom0-daemon/src/wire/*.cpp dom0-daemon/src/record/*.cpp) \
    $(addprefix dom0-daemon/src/,control/request.cpp control/json.cpp base/error.cpp),-lfmt -lxxhash))
