// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "profile_error.h"

#include <cstddef>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace tripod {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/** Largest decompressed kernel that is accepted, in bytes. */
inline constexpr std::size_t kDecompressedMax = std::size_t{512} << 20;

/** "xz", "gzip"... by the first bytes of the data; empty when they belong to no known method. */
std::string compression_of(ByteView data);

/**
 * Decompresses one stream, whose method shows in its first bytes: gzip, xz, lzma, zstd and the kernel's (legacy)
 * lz4. What follows the stream's end is ignored: the kernel's build appends the decompressed size there.
 * Anything in `data` may be hostile; at most `size_max` bytes are produced.
 * Errors: `compression`.
 */
tl::expected<Bytes, ProfileError> decompress(ByteView data, std::size_t size_max = kDecompressedMax);

} // namespace tripod
