# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_test,wire-test,tests/wire/frame_test.cpp,tripod-wire,-lfmt -lxxhash))
