// SPDX-License-Identifier: Apache-2.0
//
// Numbers that must not be mixed up. number() gives the plain value, for printing and for foreign interfaces.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tripod {

enum class DomId : std::uint32_t {}; // Xen's
enum class Index : std::uint64_t {}; // position in a VM's ordered log; 0: none yet
enum class Term : std::uint64_t {};  // leadership under which an entry was written; 0: none yet

template <typename E>
requires std::is_enum_v<E>
constexpr std::underlying_type_t<E> number(E e) {
    return static_cast<std::underlying_type_t<E>>(e);
}

} // namespace tripod
