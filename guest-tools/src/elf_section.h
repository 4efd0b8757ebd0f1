// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decompress.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tripod {

/** A section of an ELF file; `content` points into the file. */
struct ElfSection {
    std::uint64_t address = 0; ///< sh_addr
    ByteView content;          ///< empty for sections without bytes in the file
};

/**
 * The section of that name, or nothing when the file has none. Any byte of `elf` may be hostile.
 * Errors: `not_a_kernel` when it is not a little-endian x86-64 ELF file or its section table is damaged.
 */
tl::expected<std::optional<ElfSection>, ProfileError> find_section(ByteView elf, std::string_view name);

} // namespace tripod
