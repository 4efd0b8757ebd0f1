# SPDX-License-Identifier: Apache-2.0
PROFILE_LDLIBS := -lbpf -lelf -llzma -llz4 -lzstd -lz -lfmt

$(eval $(call cxx_library,guest-profile,$(addprefix guest-tools/src/,decompress.cpp kernel_image.cpp elf_section.cpp kernel_types.cpp guest_profile.cpp)))
$(eval $(call cxx_program,tripod-profile,guest-tools/src/tripod_profile_main.cpp,guest-profile,$(PROFILE_LDLIBS)))
