// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace tripod::record {

// Name of a Linux x86-64 system call; "syscall_N" for those that are never logged.
std::string syscall_name(std::uint16_t nr);

} // namespace tripod::record
