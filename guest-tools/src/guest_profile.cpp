// SPDX-License-Identifier: Apache-2.0
#include "guest_profile.h"

#include "elf_section.h"
#include "kernel_image.h"
#include "kernel_types.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

namespace tripod {
namespace {

// A vmlinux with all its debug information has some 400 MB.
constexpr std::uintmax_t kImageMax = std::uintmax_t{1} << 30;
constexpr MemberShape kPointer{8, true};

constexpr MemberShape bytes(std::uint32_t size) {
    return {size, false};
}

struct Field {
    std::string_view name;
    std::uint16_t tripod_profile::*offset;
    std::string_view structure;
    std::string_view member;
    MemberShape shape;
    bool optional = false;
};

constexpr std::array kFields{
    Field{"rq_nr_running", &tripod_profile::rq_nr_running, "rq", "nr_running", bytes(4)},
    Field{"task_pid", &tripod_profile::task_pid, "task_struct", "pid", bytes(4)},
    Field{"task_tgid", &tripod_profile::task_tgid, "task_struct", "tgid", bytes(4)},
    Field{"task_files", &tripod_profile::task_files, "task_struct", "files", kPointer},
    Field{"task_state", &tripod_profile::task_state, "task_struct", "__state", bytes(4)},
    Field{"files_fdt", &tripod_profile::files_fdt, "files_struct", "fdt", kPointer},
    Field{"fdt_max_fds", &tripod_profile::fdt_max_fds, "fdtable", "max_fds", bytes(4)},
    Field{"fdt_fd", &tripod_profile::fdt_fd, "fdtable", "fd", kPointer},
    Field{"file_inode", &tripod_profile::file_inode, "file", "f_inode", kPointer},
    Field{"file_private", &tripod_profile::file_private, "file", "private_data", kPointer},
    Field{"inode_mode", &tripod_profile::inode_mode, "inode", "i_mode", bytes(2)},
    Field{"inode_rdev", &tripod_profile::inode_rdev, "inode", "i_rdev", bytes(4)},
    Field{"inode_sb", &tripod_profile::inode_sb, "inode", "i_sb", kPointer},
    Field{"sb_magic", &tripod_profile::sb_magic, "super_block", "s_magic", bytes(8)},
    Field{"socket_sk", &tripod_profile::socket_sk, "socket", "sk", kPointer},
    Field{"sk_family", &tripod_profile::sk_family, "sock", "__sk_common.skc_family", bytes(2)},
    Field{"sk_state", &tripod_profile::sk_state, "sock", "__sk_common.skc_state", bytes(1)},
    Field{"sk_type", &tripod_profile::sk_type, "sock", "sk_type", bytes(2)},
    Field{"sk_daddr", &tripod_profile::sk_daddr, "sock", "__sk_common.skc_daddr", bytes(4)},
    Field{"sk_rcv_saddr", &tripod_profile::sk_rcv_saddr, "sock", "__sk_common.skc_rcv_saddr", bytes(4)},
    Field{"sk_dport", &tripod_profile::sk_dport, "sock", "__sk_common.skc_dport", bytes(2)},
    Field{"sk_num", &tripod_profile::sk_num, "sock", "__sk_common.skc_num", bytes(2)},
    Field{"sk_v6_daddr", &tripod_profile::sk_v6_daddr, "sock", "__sk_common.skc_v6_daddr", bytes(16), true},
    Field{"sk_v6_rcv_saddr", &tripod_profile::sk_v6_rcv_saddr, "sock", "__sk_common.skc_v6_rcv_saddr", bytes(16),
          true},
};

tl::unexpected<ProfileError> missing(std::string what) {
    return tl::unexpected(ProfileError{
        ProfileError::Kind::missing_member,
        fmt::format("its type information has no {}: this kernel is not supported, or was built with part of its "
                    "type information left out",
                    what)});
}

tl::expected<std::uint16_t, ProfileError> offset_of(const KernelTypes& types, const Field& field) {
    const auto found = types.member_offset(field.structure, field.member, field.shape);
    if (!found)
        return tl::unexpected(found.error());
    if (!found->has_value()) {
        if (field.optional)
            return std::uint16_t{0};
        return missing(fmt::format("struct {} with member {}", field.structure, field.member));
    }
    if (**found > UINT16_MAX)
        return tl::unexpected(ProfileError{ProfileError::Kind::bad_btf,
                                           fmt::format("its struct {} has member {} at offset {}, beyond 64 KiB",
                                                       field.structure, field.member, **found)});
    return static_cast<std::uint16_t>(**found);
}

/** Offset of the variable that points to the running task, within the section of per-CPU variables. */
tl::expected<std::uint32_t, ProfileError> current_task_of(const KernelTypes& types) {
    if (const auto variable = types.percpu_offset("current_task"))
        return *variable;
    // Linux 6.2 to 6.14 keep it at the start of a structure of hot per-CPU data.
    const auto hot = types.percpu_offset("pcpu_hot");
    if (!hot)
        return missing("per-CPU variable current_task or pcpu_hot");
    const auto member = types.member_offset("pcpu_hot", "current_task", kPointer);
    if (!member)
        return tl::unexpected(member.error());
    if (!member->has_value())
        return missing("struct pcpu_hot with member current_task");
    return *hot + **member;
}

tl::expected<tripod_profile, ProfileError> profile_from_elf(ByteView elf) {
    const auto btf = find_section(elf, ".BTF");
    if (!btf)
        return tl::unexpected(btf.error());
    if (!btf->has_value())
        return tl::unexpected(ProfileError{
            ProfileError::Kind::no_btf,
            "the kernel carries no type information (no section .BTF): it was built without "
            "CONFIG_DEBUG_INFO_BTF, or stripped; boot the guest with a kernel built with CONFIG_DEBUG_INFO_BTF=y"});
    // What the kernel adds to its GS base is a variable's address as linked. The section was linked at address 0
    // until Linux 6.14 and is not since; a PV guest's kernel runs where it was linked, so its address is all to
    // add.
    const auto percpu = find_section(elf, ".data..percpu");
    if (!percpu)
        return tl::unexpected(percpu.error());
    if (!percpu->has_value())
        return tl::unexpected(
            ProfileError{ProfileError::Kind::not_a_kernel,
                         "it has no per-CPU data (no section .data..percpu): name the image of an "
                         "SMP Linux kernel, not of a module or a boot loader"});
    const std::uint64_t percpu_base = (*percpu)->address;

    const auto types = KernelTypes::parse((*btf)->content);
    if (!types)
        return tl::unexpected(types.error());
    tripod_profile profile{};
    const auto current_task = current_task_of(*types);
    if (!current_task)
        return tl::unexpected(current_task.error());
    profile.current_task = percpu_base + *current_task;
    const auto runqueues = types->percpu_offset("runqueues");
    if (!runqueues)
        return missing("per-CPU variable runqueues");
    profile.runqueues = percpu_base + *runqueues;
    for (const Field& field : kFields) {
        const auto offset = offset_of(*types, field);
        if (!offset)
            return tl::unexpected(offset.error());
        profile.*field.offset = *offset;
    }
    return profile;
}

tl::expected<Bytes, ProfileError> read_file(const std::filesystem::path& path) {
    const auto unreadable = [](std::string why) {
        return tl::unexpected(ProfileError{ProfileError::Kind::unreadable, std::move(why)});
    };
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (error)
        return unreadable(fmt::format("cannot be read: {}", error.message()));
    if (!std::filesystem::is_regular_file(status))
        return unreadable("is not a regular file; name the guest's vmlinuz or vmlinux");
    const auto size = std::filesystem::file_size(path, error);
    if (error || size > kImageMax)
        return unreadable(error ? fmt::format("cannot be read: {}", error.message())
                                : fmt::format("has {} bytes, more than any kernel", size));
    Bytes content(size);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(size));
    if (!file)
        return unreadable(fmt::format("cannot be read: {}", std::strerror(errno)));
    return content;
}

} // namespace

tl::expected<tripod_profile, ProfileError> profile_from_bytes(Bytes image) {
    const auto elf = elf_of_image(std::move(image));
    if (!elf)
        return tl::unexpected(elf.error());
    return profile_from_elf(*elf);
}

tl::expected<tripod_profile, ProfileError> profile_from_image(const std::filesystem::path& image) {
    return read_file(image).and_then(profile_from_bytes).map_error([&](ProfileError error) {
        error.message = fmt::format("{}: {}", image.string(), error.message);
        return error;
    });
}

std::vector<std::pair<std::string_view, std::uint64_t>> profile_fields(const tripod_profile& profile) {
    std::vector<std::pair<std::string_view, std::uint64_t>> fields{{"current_task", profile.current_task},
                                                                   {"runqueues", profile.runqueues}};
    for (const Field& field : kFields)
        fields.emplace_back(field.name, profile.*field.offset);
    return fields;
}

} // namespace tripod
