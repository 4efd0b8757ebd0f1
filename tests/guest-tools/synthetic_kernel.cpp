// SPDX-License-Identifier: Apache-2.0
#include "synthetic_kernel.h"

#include <bpf/btf.h>
#include <cstring>
#include <elf.h>
#include <memory>
#include <stdexcept>

namespace tripod::test {
namespace {

/** Writes the types with libbpf, which has checks of its own: what it accepts is well-formed. */
class TypeWriter {
  public:
    explicit TypeWriter(const KernelShape& shape) : shape_(shape), types_(btf__new_empty(), btf__free) {}

    Bytes write() {
        int_ = check(btf__add_int(types_.get(), "int", 4, BTF_INT_SIGNED));
        long_ = check(btf__add_int(types_.get(), "long", 8, 0));
        short_ = check(btf__add_int(types_.get(), "short", 2, 0));
        char_ = check(btf__add_int(types_.get(), "char", 1, 0));
        pointer_ = check(btf__add_ptr(types_.get(), 0));
        add_tasks();
        add_files();
        add_sockets();
        add_percpu();
        std::uint32_t size = 0;
        const void* raw = btf__raw_data(types_.get(), &size);
        const auto* bytes = static_cast<const std::byte*>(raw);
        return Bytes(bytes, bytes + size);
    }

  private:
    static int check(int id) {
        if (id < 0)
            throw std::runtime_error(std::string("the test's own BTF is refused: ") + std::strerror(-id));
        return id;
    }
    int begin(const char* name, std::uint32_t size) {
        struct_ = name != nullptr ? name : "";
        return check(btf__add_struct(types_.get(), name, size));
    }
    void member(const char* name, int type, std::uint32_t offset) {
        if (shape_.without_member != struct_ + "." + (name != nullptr ? name : ""))
            check(btf__add_field(types_.get(), name, type, offset * 8, 0));
    }

    void add_tasks() {
        const int pid = check(btf__add_typedef(types_.get(), "pid_t", int_));
        begin("rq", 0x100);
        member("nr_running", int_, 0x44);
        begin("task_struct", 0x1000);
        member("pid", shape_.pid_is_pointer ? pointer_ : pid, kTaskPid);
        member("tgid", pid, kTaskPid + 4);
        member("files", pointer_, 0x700);
        member("__state", int_, kTaskState);
        begin("files_struct", 0x100);
        member("fdt", pointer_, 0x28);
        begin("fdtable", 0x40);
        member("max_fds", int_, 0x10);
        member("fd", pointer_, 0x18);
        if (shape_.second_fdtable) {
            begin("fdtable", 0x40);
            member("fd", pointer_, 0x20);
        }
    }

    void add_files() {
        begin("file", 0x100);
        member("f_inode", pointer_, 0x30);
        member("private_data", pointer_, 0xa8);
        const int inode = begin("inode", 0x200);
        if (shape_.self_containing) {
            for (int i = 0; i < 1000; ++i)
                member(nullptr, inode, 0);
            return;
        }
        member("i_mode", short_, 0x2);
        member("i_rdev", int_, 0x4c);
        member("i_sb", pointer_, 0x38);
        begin("super_block", 0x400);
        member("s_magic", long_, 0x70);
        begin("socket", 0x80);
        member("sk", pointer_, 0x20);
    }

    /** As in Linux: addresses and ports lie in unions of anonymous structures, all of it within __sk_common. */
    void add_sockets() {
        const int addresses = begin(nullptr, 8);
        struct_ = "sock";
        member("skc_daddr", int_, 0);
        member("skc_rcv_saddr", int_, 4);
        const int address_union = check(btf__add_union(types_.get(), nullptr, 8));
        member("skc_addrpair", long_, 0);
        member(nullptr, addresses, 0);
        const int ports = begin(nullptr, 4);
        struct_ = "sock";
        member("skc_dport", short_, 0);
        member("skc_num", short_, 2);
        const int address_bytes = check(btf__add_array(types_.get(), int_, char_, 16));
        const int in6 = begin("in6_addr", 16);
        member("bytes", address_bytes, 0);
        const int state = check(btf__add_volatile(types_.get(), char_));
        const int common = begin("sock_common", 0x88);
        struct_ = "sock";
        member(nullptr, address_union, kSkDaddr);
        member(nullptr, ports, 0x2c);
        member("skc_family", short_, 0x30);
        member("skc_state", state, 0x32);
        if (shape_.with_ipv6) {
            member("skc_v6_daddr", in6, kSkV6Daddr);
            member("skc_v6_rcv_saddr", in6, kSkV6Daddr + 16);
        }
        begin("sock", 0x300);
        member("__sk_common", common, 0);
        check(btf__add_field(types_.get(), "sk_type", int_, 0x210 * 8, 16)); // a bit field, as before Linux 5.6
    }

    void add_percpu() {
        int current = 0;
        if (shape_.pcpu_hot) {
            const int inner = begin(nullptr, 0x20);
            member("current_task", pointer_, kHotCurrent - 8);
            const int hot_union = check(btf__add_union(types_.get(), nullptr, 0x40));
            member(nullptr, inner, 0);
            const int hot = begin("pcpu_hot", 0x48);
            member(nullptr, hot_union, 8);
            current = check(btf__add_var(types_.get(), "pcpu_hot", BTF_VAR_GLOBAL_ALLOCATED, hot));
        } else {
            current = check(btf__add_var(types_.get(), "current_task", BTF_VAR_GLOBAL_ALLOCATED, pointer_));
        }
        const int runqueues = check(btf__add_var(types_.get(), "runqueues", BTF_VAR_GLOBAL_ALLOCATED, long_));
        check(btf__add_datasec(types_.get(), ".data..percpu", 0x8000));
        check(btf__add_datasec_var_info(types_.get(), current, kPercpuCurrent, 8));
        check(btf__add_datasec_var_info(types_.get(), runqueues, kPercpuRunqueues, 8));
    }

    const KernelShape& shape_;
    std::unique_ptr<btf, void (*)(btf*)> types_;
    std::string struct_;
    int int_ = 0, long_ = 0, short_ = 0, char_ = 0, pointer_ = 0;
};

template <typename T>
void put(Bytes& bytes, std::size_t offset, const T& value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

} // namespace

Bytes synthetic_elf(const KernelShape& shape) {
    const Bytes types = shape.with_btf ? TypeWriter(shape).write() : Bytes{};
    const std::string names =
        std::string("\0.shstrtab\0.data..percpu\0", 25) + (shape.with_btf ? ".BTF" : ".xxx") + '\0';
    constexpr std::uint16_t sections = 4;
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_machine = EM_X86_64;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = sections;
    header.e_shstrndx = 1;
    header.e_shoff = sizeof header;

    Elf64_Shdr table[sections]{};
    const std::size_t names_at = sizeof header + sizeof table;
    table[1].sh_name = 1;
    table[1].sh_type = SHT_STRTAB;
    table[1].sh_offset = names_at;
    table[1].sh_size = names.size();
    table[2].sh_name = 11;
    table[2].sh_type = SHT_NOBITS;
    table[2].sh_addr = shape.percpu_address;
    table[3].sh_name = 25;
    table[3].sh_type = SHT_PROGBITS;
    table[3].sh_offset = names_at + names.size();
    table[3].sh_size = types.size();

    Bytes elf(names_at + names.size() + types.size());
    put(elf, 0, header);
    put(elf, sizeof header, table);
    std::memcpy(elf.data() + names_at, names.data(), names.size());
    std::copy(types.begin(), types.end(), elf.begin() + static_cast<std::ptrdiff_t>(names_at + names.size()));
    return elf;
}

Bytes bzimage(ByteView payload) {
    constexpr std::uint8_t setup_sects = 3;
    constexpr std::uint32_t gap = 0x90; // of code before the payload
    constexpr std::size_t start = (setup_sects + 1) * 512 + gap;
    Bytes image(start + payload.size() + 64);
    put(image, 0x1f1, setup_sects);
    std::memcpy(image.data() + 0x202, "HdrS", 4);
    put(image, 0x206, std::uint16_t{0x20f});
    put(image, 0x248, gap);
    put(image, 0x24c, static_cast<std::uint32_t>(payload.size()));
    std::copy(payload.begin(), payload.end(), image.begin() + static_cast<std::ptrdiff_t>(start));
    return image;
}

} // namespace tripod::test
