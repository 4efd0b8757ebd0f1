# SPDX-License-Identifier: Apache-2.0
$(eval $(call cxx_test,guest-profile-test,tests/guest-tools/guest_profile_test.cpp tests/guest-tools/synthetic_kernel.cpp,guest-profile,$(PROFILE_LDLIBS)))
