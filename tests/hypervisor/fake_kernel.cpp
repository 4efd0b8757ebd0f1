// SPDX-License-Identifier: GPL-2.0-only
#include "fake_kernel.h"

#include <stdexcept>

namespace tripod::test {

namespace {

constexpr std::uint64_t object_bytes = 512;

std::uint16_t swapped(std::uint16_t port) {
    return static_cast<std::uint16_t>(port << 8 | port >> 8);
}

} // namespace

tripod_profile FakeKernel::profile() {
    tripod_profile p{};
    p.current_task = 0x40;
    p.runqueues = 0x800;
    p.rq_nr_running = 4;
    p.task_pid = 24;
    p.task_tgid = 28;
    p.task_files = 120;
    p.task_state = 132;
    p.files_fdt = 32;
    p.fdt_max_fds = 0;
    p.fdt_fd = 8;
    p.file_inode = 48;
    p.file_private = 200;
    p.inode_mode = 2;
    p.inode_rdev = 76;
    p.inode_sb = 40;
    p.sb_magic = 96;
    p.socket_sk = 16;
    p.sk_family = 18;
    p.sk_state = 20;
    p.sk_type = 300;
    p.sk_daddr = 4;
    p.sk_rcv_saddr = 8;
    p.sk_dport = 12;
    p.sk_num = 14;
    p.sk_v6_daddr = 56;
    p.sk_v6_rcv_saddr = 72;
    return p;
}

FakeKernel::FakeKernel() {
    memory.map(gs_base, FakeMemory::page_bytes);
    set_runnable(1);
}

void FakeKernel::set_runnable(std::uint32_t threads) {
    memory.put(gs_base + profile().runqueues + profile().rq_nr_running, threads);
}

Va FakeKernel::allocate(std::uint64_t bytes) {
    // Every second object begins near a page's end, so that fields lie across pages.
    const Va at = next_ + (next_ / 0x4000 % 2 != 0 ? FakeMemory::page_bytes - 20 : 0);
    next_ += 0x4000 + bytes / 0x4000 * 0x8000;
    memory.map(at, bytes);
    return at;
}

Process FakeKernel::add_process(std::uint32_t tgid, std::uint32_t descriptors) {
    const tripod_profile p = profile();
    const Process process{tgid, allocate(object_bytes), allocate(object_bytes),
                          allocate(std::uint64_t{descriptors} * 8), descriptors};
    memory.put(process.files + p.files_fdt, process.fdt);
    memory.put(process.fdt + p.fdt_max_fds, process.max_fds);
    memory.put(process.fdt + p.fdt_fd, process.array);
    return process;
}

Va FakeKernel::add_task(const Process& process, std::uint32_t tid) {
    const tripod_profile p = profile();
    const Va task = allocate(object_bytes);
    memory.put(task + p.task_pid, tid);
    memory.put(task + p.task_tgid, process.tgid);
    memory.put(task + p.task_files, process.files);
    return task;
}

Va FakeKernel::file(const Process& process, int fd) const {
    return memory.get<Va>(process.array + static_cast<Va>(fd) * 8);
}

int FakeKernel::lowest_free(const Process& process) const {
    for (int fd = 0; fd < static_cast<int>(process.max_fds); ++fd)
        if (file(process, fd) == 0)
            return fd;
    throw std::runtime_error("the fake process has no descriptor left");
}

int FakeKernel::install(const Process& process, Va file) {
    const int fd = lowest_free(process);
    memory.put(process.array + static_cast<Va>(fd) * 8, file);
    return fd;
}

int FakeKernel::move(const Process& process, int fd, int to) {
    memory.put(process.array + static_cast<Va>(to) * 8, file(process, fd));
    close(process, fd);
    return to;
}

void FakeKernel::close(const Process& process, int fd) {
    memory.put(process.array + static_cast<Va>(fd) * 8, Va{0});
}

int FakeKernel::open_inode(const Process& process, std::uint16_t mode, std::uint32_t rdev, std::uint64_t magic) {
    const tripod_profile p = profile();
    const Va file = allocate(object_bytes);
    const Va inode = allocate(object_bytes);
    const Va super_block = allocate(object_bytes);
    memory.put(file + p.file_inode, inode);
    memory.put(inode + p.inode_mode, mode);
    memory.put(inode + p.inode_rdev, rdev);
    memory.put(inode + p.inode_sb, super_block);
    memory.put(super_block + p.sb_magic, magic);
    return install(process, file);
}

int FakeKernel::open_socket(const Process& process, const Socket& socket) {
    const tripod_profile p = profile();
    const int fd = open_inode(process, 0140777, 0, 0x534f434b);
    const Va sock = allocate(object_bytes);
    const Va sk = allocate(object_bytes);
    memory.put(file(process, fd) + p.file_private, sock);
    memory.put(sock + p.socket_sk, sk);
    memory.put(sk + p.sk_family, socket.family);
    memory.put(sk + p.sk_type, socket.type);
    memory.put(sk + p.sk_state, socket.state);
    memory.put(sk + p.sk_num, socket.local_port);
    memory.put(sk + p.sk_dport, swapped(socket.remote_port));
    memory.put(sk + p.sk_rcv_saddr, socket.local);
    memory.put(sk + p.sk_daddr, socket.remote);
    memory.put(sk + p.sk_v6_rcv_saddr, socket.local);
    memory.put(sk + p.sk_v6_daddr, socket.remote);
    return fd;
}

} // namespace tripod::test
