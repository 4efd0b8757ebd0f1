// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decompress.h"

namespace tripod {

/**
 * The kernel's ELF file inside an image: a bzImage (boot protocol 2.08 or later, see the kernel's
 * Documentation/x86/boot.rst), an ELF file, or a compressed ELF file as libxenguest accepts it.
 * Returns the image itself, moved, when it is an ELF file already.
 * Errors: `not_a_kernel`, `compression`.
 */
tl::expected<Bytes, ProfileError> elf_of_image(Bytes image);

} // namespace tripod
