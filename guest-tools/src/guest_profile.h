// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decompress.h"

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "public/tripod.h"

namespace tripod {

/**
 * Where the guest kernel in `image` (bzImage or vmlinux) keeps what the hypervisor looks at, from the kernel's own
 * type information. The image is read, never run; it may come from the guest and be hostile.
 * IPv6 offsets are 0 when the kernel is built without IPv6.
 * Errors: see ProfileError; the message names the image and the remedy.
 */
tl::expected<tripod_profile, ProfileError> profile_from_image(const std::filesystem::path& image);

/** The same for an image in memory; messages do not name it. */
tl::expected<tripod_profile, ProfileError> profile_from_bytes(Bytes image);

/** Every field of the profile with its name, in the order of the interface. */
std::vector<std::pair<std::string_view, std::uint64_t>> profile_fields(const tripod_profile& profile);

} // namespace tripod
