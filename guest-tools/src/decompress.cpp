// SPDX-License-Identifier: Apache-2.0
#include "decompress.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <functional>
#include <lz4.h>
#include <lzma.h>
#include <memory>
#include <string_view>
#include <zlib.h>
#include <zstd.h>

namespace tripod {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::uint64_t kLzmaMemoryMax = std::uint64_t{256} << 20;
// The legacy lz4 format has blocks of 8 MiB, the last one shorter.
constexpr std::size_t kLz4Block = std::size_t{8} << 20;

struct Method {
    std::string_view name;
    std::string_view magic;
};

using namespace std::string_view_literals;
constexpr std::array kMethods{
    Method{"gzip", "\x1f\x8b"sv},
    Method{"xz", "\xfd"
                 "7zXZ\0"sv},
    Method{"lzma", "\x5d\x00\x00\x00"sv},
    Method{"zstd", "\x28\xb5\x2f\xfd"sv},
    Method{"lz4", "\x02\x21\x4c\x18"sv},
    Method{"bzip2", "BZh"sv},
    Method{"lzo", "\x89LZO\0"sv},
};

tl::unexpected<ProfileError> damaged(std::string_view method, std::string_view why) {
    return tl::unexpected(
        ProfileError{ProfileError::Kind::compression,
                     fmt::format("its {}-compressed kernel cannot be decompressed: {}", method, why)});
}

/** Grows `out` by up to one chunk and returns the new room, or nothing when the limit is reached. */
std::span<std::byte> more_room(Bytes& out, std::size_t size_max) {
    const std::size_t old = out.size();
    out.resize(old + std::min(kChunk, size_max - old));
    return std::span(out).subspan(old);
}

tl::expected<Bytes, ProfileError> inflate_gzip(ByteView data, std::size_t size_max) {
    if (data.size() > UINT32_MAX)
        return damaged("gzip", "it is larger than 4 GiB");
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return damaged("gzip", "out of memory");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    Bytes out;
    for (;;) {
        const auto room = more_room(out, size_max);
        if (room.empty())
            return damaged("gzip", "it grows beyond the limit for kernels");
        stream.next_out = reinterpret_cast<Bytef*>(room.data());
        stream.avail_out = static_cast<uInt>(room.size());
        const int status = inflate(&stream, Z_NO_FLUSH);
        out.resize(out.size() - stream.avail_out);
        if (status == Z_STREAM_END)
            return out;
        if (status != Z_OK)
            return damaged("gzip", stream.msg != nullptr ? stream.msg : "the data ends too early");
    }
}

tl::expected<Bytes, ProfileError> decode_lzma(ByteView data, std::size_t size_max, std::string_view method) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_auto_decoder(&stream, kLzmaMemoryMax, 0) != LZMA_OK)
        return damaged(method, "out of memory");
    const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> guard(&stream, lzma_end);
    stream.next_in = reinterpret_cast<const std::uint8_t*>(data.data());
    stream.avail_in = data.size();
    Bytes out;
    for (;;) {
        const auto room = more_room(out, size_max);
        if (room.empty())
            return damaged(method, "it grows beyond the limit for kernels");
        stream.next_out = reinterpret_cast<std::uint8_t*>(room.data());
        stream.avail_out = room.size();
        const lzma_ret status = lzma_code(&stream, LZMA_RUN);
        out.resize(out.size() - stream.avail_out);
        if (status == LZMA_STREAM_END)
            return out;
        if (status == LZMA_BUF_ERROR || (status == LZMA_OK && stream.avail_in == 0 && stream.avail_out != 0))
            return damaged(method, "the data ends too early");
        if (status == LZMA_MEMLIMIT_ERROR)
            return damaged(method, "it wants more memory than kernels need");
        if (status != LZMA_OK)
            return damaged(method, "the data is damaged");
    }
}

tl::expected<Bytes, ProfileError> decode_zstd(ByteView data, std::size_t size_max) {
    const std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                               ZSTD_freeDStream);
    if (!stream)
        return damaged("zstd", "out of memory");
    ZSTD_inBuffer in{data.data(), data.size(), 0};
    Bytes out;
    for (;;) {
        const auto room = more_room(out, size_max);
        if (room.empty())
            return damaged("zstd", "it grows beyond the limit for kernels");
        ZSTD_outBuffer to{room.data(), room.size(), 0};
        const std::size_t status = ZSTD_decompressStream(stream.get(), &to, &in);
        out.resize(out.size() - (to.size - to.pos));
        if (ZSTD_isError(status) != 0)
            return damaged("zstd", ZSTD_getErrorName(status));
        if (status == 0)
            return out;
        if (in.pos == in.size && to.pos < to.size)
            return damaged("zstd", "the data ends too early");
    }
}

/** The legacy lz4 format: the magic, then blocks of a 32-bit length and so many bytes. */
tl::expected<Bytes, ProfileError> decode_lz4(ByteView data, std::size_t size_max) {
    data = data.subspan(4);
    Bytes out;
    // Below four bytes a block's length does not fit; the kernel's trailing size is just such a rest, or looks like
    // the length of a block that is not there.
    while (data.size() > 4) {
        std::uint32_t length = 0;
        std::memcpy(&length, data.data(), sizeof length);
        data = data.subspan(4);
        if (length == 0 || length > data.size())
            return damaged("lz4", "a block reaches beyond its end");
        const std::size_t old = out.size();
        const std::size_t room = std::min(kLz4Block, size_max - old);
        out.resize(old + room);
        const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(data.data()),
                                             reinterpret_cast<char*>(out.data() + old), static_cast<int>(length),
                                             static_cast<int>(room));
        if (made < 0)
            return damaged("lz4", "the data is damaged or too large");
        out.resize(old + static_cast<std::size_t>(made));
        data = data.subspan(length);
    }
    if (out.empty())
        return damaged("lz4", "it holds no block");
    return out;
}

} // namespace

std::string compression_of(ByteView data) {
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                     [&](const Method& method) { return text.starts_with(method.magic); });
    return found == kMethods.end() ? std::string{} : std::string(found->name);
}

tl::expected<Bytes, ProfileError> decompress(ByteView data, std::size_t size_max) {
    const std::string method = compression_of(data);
    if (method == "gzip")
        return inflate_gzip(data, size_max);
    if (method == "xz" || method == "lzma")
        return decode_lzma(data, size_max, method);
    if (method == "zstd")
        return decode_zstd(data, size_max);
    if (method == "lz4")
        return decode_lz4(data, size_max);
    return tl::unexpected(ProfileError{
        ProfileError::Kind::compression,
        fmt::format("its kernel is compressed by {}, and only gzip, xz, lzma, zstd and lz4 can be read; name the "
                    "uncompressed vmlinux instead",
                    method.empty() ? "an unknown method" : method)});
}

} // namespace tripod
