// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decompress.h"

#include <cstdint>
#include <string>

namespace tripod::test {

/** What a made-up kernel looks like; the defaults make one that is fit for a profile. */
struct KernelShape {
    bool with_btf = true;
    bool with_ipv6 = true;
    bool pcpu_hot = false;            ///< current_task inside struct pcpu_hot, as in Linux 6.2 to 6.14
    bool pid_is_pointer = false;      ///< task_struct.pid of a wrong type
    bool second_fdtable = false;      ///< another struct fdtable, with fd elsewhere
    bool self_containing = false;     ///< a struct inode that contains itself, anonymously and many times
    std::string without_member{};     ///< "struct.member" left out
    std::uint64_t percpu_address = 0; ///< where .data..percpu is linked
};

// Offsets that every made-up kernel has, chosen unlike those of real ones.
inline constexpr std::uint32_t kPercpuCurrent = 0x1230;
inline constexpr std::uint32_t kPercpuRunqueues = 0x4560;
inline constexpr std::uint32_t kHotCurrent = 0x18;
inline constexpr std::uint16_t kTaskPid = 0x510;
inline constexpr std::uint16_t kTaskState = 0x18;
inline constexpr std::uint16_t kSkDaddr = 0x20;
inline constexpr std::uint16_t kSkV6Daddr = 0x60;

/** An ELF file with a .BTF section of that shape. */
Bytes synthetic_elf(const KernelShape& shape = {});

/** A bzImage around a payload. */
Bytes bzimage(ByteView payload);

} // namespace tripod::test
