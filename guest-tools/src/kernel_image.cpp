// SPDX-License-Identifier: Apache-2.0
#include "kernel_image.h"

#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <string_view>

namespace tripod {
namespace {

// The setup header of the boot protocol, by its offsets in the file.
constexpr std::size_t kSetupSects = 0x1f1;
constexpr std::size_t kHeaderMagic = 0x202;
constexpr std::size_t kVersion = 0x206;
constexpr std::size_t kPayloadOffset = 0x248;
constexpr std::size_t kPayloadLength = 0x24c;
constexpr std::size_t kHeaderEnd = 0x250;
constexpr std::size_t kSector = 512;
constexpr std::uint16_t kVersionWithPayload = 0x208;

constexpr std::string_view kElfMagic = "\x7f"
                                       "ELF";

template <typename T>
T read_at(ByteView bytes, std::size_t offset) {
    T value{};
    std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
    return value;
}

bool starts_with(ByteView bytes, std::size_t offset, std::string_view magic) {
    return bytes.size() >= offset + magic.size() &&
           std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

tl::unexpected<ProfileError> not_a_kernel(std::string why) {
    return tl::unexpected(ProfileError{ProfileError::Kind::not_a_kernel, std::move(why)});
}

tl::expected<ByteView, ProfileError> payload_of_bzimage(ByteView image) {
    if (image.size() < kHeaderEnd)
        return not_a_kernel("the bzImage ends inside its header; copy it again");
    const auto version = read_at<std::uint16_t>(image, kVersion);
    if (version < kVersionWithPayload)
        return not_a_kernel(fmt::format("the bzImage has boot protocol {}.{:02}, too old to tell where the kernel "
                                        "lies (2.08 does); name the uncompressed vmlinux instead",
                                        version >> 8, version & 0xff));
    // 0 means 4, from the days of the first boot loaders.
    auto setup_sects = std::size_t{read_at<std::uint8_t>(image, kSetupSects)};
    if (setup_sects == 0)
        setup_sects = 4;
    const std::size_t start = (setup_sects + 1) * kSector + read_at<std::uint32_t>(image, kPayloadOffset);
    const std::size_t length = read_at<std::uint32_t>(image, kPayloadLength);
    if (start > image.size() || length > image.size() - start)
        return not_a_kernel(fmt::format("the bzImage's kernel would end at byte {}, but the file ends at {}: it is "
                                        "truncated; copy it again",
                                        start + length, image.size()));
    return image.subspan(start, length);
}

} // namespace

tl::expected<Bytes, ProfileError> elf_of_image(Bytes image) {
    if (starts_with(image, 0, kElfMagic))
        return image;

    ByteView payload = image;
    if (starts_with(image, kHeaderMagic, "HdrS")) {
        const auto found = payload_of_bzimage(image);
        if (!found)
            return tl::unexpected(found.error());
        payload = *found;
        if (starts_with(payload, 0, kElfMagic)) // CONFIG_KERNEL_UNCOMPRESSED
            return Bytes(payload.begin(), payload.end());
    } else if (compression_of(image).empty()) {
        return not_a_kernel("it is neither a Linux bzImage nor an ELF file; name the guest's vmlinuz or vmlinux");
    }
    auto elf = decompress(payload);
    if (elf && !starts_with(*elf, 0, kElfMagic))
        return not_a_kernel("what it holds compressed is not an ELF file; name the guest's vmlinuz or vmlinux");
    return elf;
}

} // namespace tripod
