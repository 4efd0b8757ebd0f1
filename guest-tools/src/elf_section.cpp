// SPDX-License-Identifier: Apache-2.0
#include "elf_section.h"

#include <cstring>
#include <elf.h>

namespace tripod {
namespace {

tl::unexpected<ProfileError> damaged(const char* why) {
    return tl::unexpected(ProfileError{ProfileError::Kind::not_a_kernel, why});
}

/** `length` bytes from `offset` on, or nothing when they are not all there. */
std::optional<ByteView> slice(ByteView bytes, std::uint64_t offset, std::uint64_t length) {
    if (offset > bytes.size() || length > bytes.size() - offset)
        return std::nullopt;
    return bytes.subspan(offset, length);
}

template <typename T>
std::optional<T> read_at(ByteView bytes, std::uint64_t offset) {
    const auto found = slice(bytes, offset, sizeof(T));
    if (!found)
        return std::nullopt;
    T value;
    std::memcpy(&value, found->data(), sizeof value);
    return value;
}

bool name_is(ByteView names, std::uint32_t offset, std::string_view name) {
    const auto found = slice(names, offset, name.size() + 1);
    return found && std::memcmp(found->data(), name.data(), name.size()) == 0 && found->back() == std::byte{0};
}

} // namespace

tl::expected<std::optional<ElfSection>, ProfileError> find_section(ByteView elf, std::string_view name) {
    const auto header = read_at<Elf64_Ehdr>(elf, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return damaged("the ELF file ends inside its header; copy it again");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64)
        return damaged("the ELF file is not for x86-64; only 64-bit guests can be protected");
    if (header->e_shnum == 0)
        return std::nullopt; // stripped of its section table
    if (header->e_shentsize != sizeof(Elf64_Shdr))
        return damaged("the ELF file's section table is damaged");
    const auto table = slice(elf, header->e_shoff, std::uint64_t{header->e_shnum} * sizeof(Elf64_Shdr));
    if (!table)
        return damaged("the ELF file ends before its section table: it is truncated; copy it again");

    const auto section = [&](std::uint64_t index) {
        return read_at<Elf64_Shdr>(*table, index * sizeof(Elf64_Shdr));
    };
    const auto names_header = section(header->e_shstrndx);
    const auto names = names_header ? slice(elf, names_header->sh_offset, names_header->sh_size) : std::nullopt;
    if (!names)
        return damaged("the ELF file's section names are damaged");

    for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
        const auto entry = section(i);
        if (!name_is(*names, entry->sh_name, name))
            continue;
        if (entry->sh_type == SHT_NOBITS)
            return ElfSection{entry->sh_addr, {}};
        const auto content = slice(elf, entry->sh_offset, entry->sh_size);
        if (!content)
            return damaged("a section of the ELF file reaches beyond its end: it is truncated; copy it again");
        return ElfSection{entry->sh_addr, *content};
    }
    return std::nullopt;
}

} // namespace tripod
