// SPDX-License-Identifier: Apache-2.0
#include "guest_profile.h"
#include "kernel_image.h"
#include "synthetic_kernel.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <lz4.h>
#include <lzma.h>
#include <map>
#include <random>
#include <zlib.h>
#include <zstd.h>

namespace tripod::test {
namespace {

using Kind = ProfileError::Kind;
namespace fs = std::filesystem;

/** Debian's kernel as `make` fetches it for the lab, or an empty path. */
fs::path real_image() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("build/kernel/boot", error))
        if (entry.path().filename().string().starts_with("vmlinuz-"))
            return entry.path();
    return {};
}
constexpr const char* kNoKernel = "no build/kernel/boot/vmlinuz-*: run scripts/fetch-kernel build/kernel first";

Bytes read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    Bytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

std::map<std::string, std::uint64_t> by_name(const tripod_profile& profile) {
    std::map<std::string, std::uint64_t> fields;
    for (const auto& [name, offset] : profile_fields(profile))
        fields.emplace(name, offset);
    return fields;
}

Bytes with_trailing_size(Bytes compressed, std::size_t size) {
    const auto value = static_cast<std::uint32_t>(size);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    compressed.insert(compressed.end(), bytes, bytes + sizeof value);
    return compressed;
}

Bytes compress(const std::string& method, ByteView data) {
    Bytes out(data.size() + 4096);
    const auto* in = reinterpret_cast<const std::uint8_t*>(data.data());
    auto* to = reinterpret_cast<std::uint8_t*>(out.data());
    if (method == "gzip") {
        z_stream stream{};
        deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
        stream.next_in = const_cast<Bytef*>(in);
        stream.avail_in = static_cast<uInt>(data.size());
        stream.next_out = to;
        stream.avail_out = static_cast<uInt>(out.size());
        EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
        out.resize(stream.total_out);
        deflateEnd(&stream);
        return out; // gzip ends in the size by itself
    }
    std::size_t length = 0;
    if (method == "xz") {
        EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr, in, data.size(), to, &length, out.size()),
                  LZMA_OK);
    } else if (method == "zstd") {
        length = ZSTD_compress(to, out.size(), in, data.size(), 3);
    } else { // lz4, the legacy format
        std::memcpy(to, "\x02\x21\x4c\x18", 4);
        const int made = LZ4_compress_default(reinterpret_cast<const char*>(in), reinterpret_cast<char*>(to + 8),
                                              static_cast<int>(data.size()), static_cast<int>(out.size() - 8));
        std::memcpy(to + 4, &made, 4);
        length = static_cast<std::size_t>(made) + 8;
    }
    out.resize(length);
    return with_trailing_size(std::move(out), data.size());
}

/** The failure must be of that kind and its message must contain each of the words. */
void expect_error(const tl::expected<tripod_profile, ProfileError>& result, Kind kind,
                  std::initializer_list<const char*> words) {
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind, kind) << result.error().message;
    for (const char* word : words)
        EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(RealKernel, AgreesWithASecondReader) {
    const fs::path image = real_image();
    if (image.empty())
        GTEST_SKIP() << kNoKernel;
    const auto profile = profile_from_image(image);
    ASSERT_TRUE(profile.has_value()) << profile.error().message;

    const std::string command = "python3 tests/guest-tools/btf_offsets.py " + image.string();
    FILE* output = popen(command.c_str(), "r");
    ASSERT_NE(output, nullptr);
    std::map<std::string, std::uint64_t> expected;
    char name[64];
    unsigned long offset = 0;
    while (fscanf(output, "%63s %lu", name, &offset) == 2)
        expected.emplace(name, offset);
    ASSERT_EQ(pclose(output), 0) << command;
    ASSERT_EQ(expected.size(), 26u);
    EXPECT_EQ(by_name(*profile), expected);
}

TEST(RealKernel, UncompressedGivesTheSame) {
    const fs::path image = real_image();
    if (image.empty())
        GTEST_SKIP() << kNoKernel;
    const auto elf = elf_of_image(read_all(image));
    ASSERT_TRUE(elf.has_value()) << elf.error().message;
    const auto from_elf = profile_from_bytes(*elf);
    const auto from_image = profile_from_image(image);
    ASSERT_TRUE(from_elf.has_value()) << from_elf.error().message;
    ASSERT_TRUE(from_image.has_value()) << from_image.error().message;
    EXPECT_EQ(std::memcmp(&*from_elf, &*from_image, sizeof *from_elf), 0);
}

TEST(RealKernel, TruncatedAnywhereIsRefused) {
    const fs::path image = real_image();
    if (image.empty())
        GTEST_SKIP() << kNoKernel;
    const Bytes whole = read_all(image);
    for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{0x240}, std::size_t{5000},
                                   whole.size() / 2, whole.size() - whole.size() / 8})
        expect_error(profile_from_bytes(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
                     Kind::not_a_kernel, {});
}

TEST(SyntheticKernel, EveryCompressionGivesTheSameProfile) {
    const Bytes elf = synthetic_elf();
    const auto plain = profile_from_bytes(elf);
    ASSERT_TRUE(plain.has_value()) << plain.error().message;
    EXPECT_EQ(plain->current_task, kPercpuCurrent);
    EXPECT_EQ(plain->runqueues, kPercpuRunqueues);
    EXPECT_EQ(plain->task_pid, kTaskPid);
    EXPECT_EQ(plain->task_state, kTaskState);
    EXPECT_EQ(plain->sk_daddr, kSkDaddr);
    EXPECT_EQ(plain->sk_rcv_saddr, kSkDaddr + 4);
    EXPECT_EQ(plain->sk_v6_daddr, kSkV6Daddr);
    for (const std::string method : {"gzip", "xz", "zstd", "lz4"}) {
        const auto profile = profile_from_bytes(bzimage(compress(method, elf)));
        ASSERT_TRUE(profile.has_value()) << method << ": " << profile.error().message;
        EXPECT_EQ(std::memcmp(&*profile, &*plain, sizeof *plain), 0) << method;
    }
    EXPECT_TRUE(profile_from_bytes(bzimage(elf)).has_value()); // CONFIG_KERNEL_UNCOMPRESSED
    EXPECT_TRUE(profile_from_bytes(compress("gzip", elf)).has_value());
}

TEST(SyntheticKernel, CurrentTaskInPcpuHot) {
    const auto profile = profile_from_bytes(synthetic_elf({.pcpu_hot = true}));
    ASSERT_TRUE(profile.has_value()) << profile.error().message;
    EXPECT_EQ(profile->current_task, kPercpuCurrent + kHotCurrent);
}

TEST(SyntheticKernel, PercpuSectionLinkedHighCounts) {
    const auto profile = profile_from_bytes(synthetic_elf({.percpu_address = 0xffffffff83000000}));
    ASSERT_TRUE(profile.has_value()) << profile.error().message;
    EXPECT_EQ(profile->current_task, 0xffffffff83000000 + kPercpuCurrent);
    EXPECT_EQ(profile->runqueues, 0xffffffff83000000 + kPercpuRunqueues);
}

TEST(SyntheticKernel, WithoutIpv6ItsOffsetsAreZero) {
    const auto profile = profile_from_bytes(synthetic_elf({.with_ipv6 = false}));
    ASSERT_TRUE(profile.has_value()) << profile.error().message;
    EXPECT_EQ(profile->sk_v6_daddr, 0);
    EXPECT_EQ(profile->sk_v6_rcv_saddr, 0);
    EXPECT_EQ(profile->sk_daddr, kSkDaddr);
}

TEST(BadKernel, WithoutBtfNamesTheOption) {
    expect_error(profile_from_bytes(synthetic_elf({.with_btf = false})), Kind::no_btf, {"CONFIG_DEBUG_INFO_BTF"});
}

TEST(BadKernel, EachMissingMemberIsNamed) {
    for (const std::string where :
         {"rq.nr_running", "task_struct.tgid", "task_struct.__state", "files_struct.fdt", "file.private_data",
          "socket.sk", "super_block.s_magic", "sock.skc_daddr", "sock.skc_num"}) {
        const auto member = where.substr(where.find('.') + 1);
        expect_error(profile_from_bytes(synthetic_elf({.without_member = where})), Kind::missing_member,
                     {member.c_str()});
    }
}

TEST(BadKernel, WrongTypeIsNotTakenForTheMember) {
    expect_error(profile_from_bytes(synthetic_elf({.pid_is_pointer = true})), Kind::bad_btf,
                 {"task_struct", "pid"});
}

TEST(BadKernel, ContradictionIsRefused) {
    expect_error(profile_from_bytes(synthetic_elf({.second_fdtable = true})), Kind::bad_btf, {"fdtable"});
}

TEST(BadKernel, TypeThatContainsItselfEndsSoon) {
    const auto start = std::chrono::steady_clock::now();
    expect_error(profile_from_bytes(synthetic_elf({.self_containing = true})), Kind::missing_member, {"i_mode"});
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(BadImage, UnsupportedCompressionIsNamed) {
    const Bytes bzip2{std::byte{'B'}, std::byte{'Z'}, std::byte{'h'}, std::byte{'9'}};
    expect_error(profile_from_bytes(bzimage(bzip2)), Kind::compression, {"bzip2", "vmlinux"});
}

TEST(BadImage, BombIsStoppedAtTheLimit) {
    const Bytes zeros(std::size_t{8} << 20);
    for (const std::string method : {"gzip", "xz", "zstd", "lz4"}) {
        const Bytes bomb = compress(method, zeros);
        ASSERT_LT(bomb.size(), zeros.size() / 50);
        EXPECT_TRUE(decompress(bomb, zeros.size() + 1).has_value()) << method;
        const auto stopped = decompress(bomb, zeros.size() / 2);
        ASSERT_FALSE(stopped.has_value()) << method;
        EXPECT_EQ(stopped.error().kind, Kind::compression);
    }
}

TEST(BadImage, FilesThatAreNoKernels) {
    expect_error(profile_from_image("/nonexistent/vmlinuz"), Kind::unreadable, {"/nonexistent/vmlinuz"});
    expect_error(profile_from_image("/"), Kind::unreadable, {"regular file"});
    expect_error(profile_from_image("tests/guest-tools/btf_offsets.py"), Kind::not_a_kernel,
                 {"btf_offsets.py", "vmlinuz"});
}

// Whatever a guest's image holds, the answer is a profile or an error: run this under SANITIZE=address,undefined.
TEST(BadImage, DamagedBytesHarmNobody) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Bytes elf = synthetic_elf();
    const Bytes compressed = bzimage(compress("xz", elf));
    int refused = 0;
    for (int round = 0; round < 4000; ++round) {
        Bytes image = round % 4 == 0 ? compressed : elf;
        const auto hits = 1 + random() % 8;
        for (unsigned hit = 0; hit < hits; ++hit)
            image[random() % image.size()] = static_cast<std::byte>(random());
        if (round % 5 == 0)
            image.resize(random() % image.size());
        refused += profile_from_bytes(std::move(image)).has_value() ? 0 : 1;
    }
    EXPECT_GT(refused, 0);
}

} // namespace
} // namespace tripod::test
