// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace tripod {

/** Why no profile could be made of a kernel image. */
struct ProfileError {
    enum class Kind {
        unreadable,     ///< the file cannot be read
        not_a_kernel,   ///< neither an x86-64 Linux bzImage nor an ELF file, or a damaged one
        compression,    ///< compressed by a method that is not supported, or the compressed data is damaged
        no_btf,         ///< the kernel carries no type information
        bad_btf,        ///< its type information is damaged or contradicts itself
        missing_member, ///< the type information lacks what is asked for
    };
    Kind kind;
    std::string
        message; ///< for people: names what is missing and the remedy, and, from profile_from_image, the image
};

} // namespace tripod
