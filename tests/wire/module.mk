# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_test,wire-test,$(addprefix tests/wire/,frame_test.cpp frame_stream_test.cpp),tripod-wire,-lfmt -lxxhash))
