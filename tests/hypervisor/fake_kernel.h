// SPDX-License-Identifier: GPL-2.0-only
/**
 * The guest kernel's own structures, laid out in fake kernel memory by a made-up profile: what a real kernel keeps
 * of its threads, their descriptors and sockets. A test may overwrite any of it to play a hostile kernel.
 */
#pragma once

#include "fake_memory.h"
#include "tripod_c.h"

namespace tripod::test {

struct Process {
    std::uint32_t tgid;
    Va files, fdt, array;
    std::uint32_t max_fds;
};

struct Socket {
    std::uint16_t family = 2, type = 1; // AF_INET, SOCK_STREAM
    std::uint8_t state = 1;             // TCP_ESTABLISHED
    std::uint16_t local_port = 6379, remote_port = 40000;
    std::uint32_t local = 0x0100a8c0, remote = 0x0200a8c0; // network order
};

class FakeKernel {
  public:
    static constexpr Va gs_base = 0xffff888000010000;
    static constexpr std::uint32_t max_fds = 64;

    FakeKernel();

    /** Where this kernel keeps what. No two offsets are alike, so that a mix-up shows. */
    static tripod_profile profile();

    Process add_process(std::uint32_t tgid, std::uint32_t descriptors = max_fds);
    /** Returns the task_struct. */
    Va add_task(const Process& process, std::uint32_t tid);
    void run(Va task) { memory.put(gs_base + profile().current_task, task); }
    void set_runnable(std::uint32_t threads);
    /** struct task_struct.__state: 0 runnable, 1 asleep, 2 asleep whatever comes, 4 stopped, 0x80 dead. */
    void set_state(Va task, std::uint32_t state) { memory.put(task + profile().task_state, state); }

    /** Each opens the lowest free descriptor and returns it. */
    int open_socket(const Process& process, const Socket& socket = {});
    int open_procfs(const Process& process) { return open_inode(process, 0100444, 0, 0x9fa0); }
    int open_urandom(const Process& process) { return open_inode(process, 0020666, 1u << 20 | 9, 0x01021994); }
    int open_null(const Process& process) { return open_inode(process, 0020666, 1u << 20 | 3, 0x01021994); }
    int open_regular(const Process& process) { return open_inode(process, 0100644, 0, 0xef53); }
    int open_pipe(const Process& process) { return open_inode(process, 0010600, 0, 0x50495045); }
    void close(const Process& process, int fd);
    /** As dup2() and close() of the old one. */
    int move(const Process& process, int fd, int to);
    [[nodiscard]] int lowest_free(const Process& process) const;
    /** The struct file behind a descriptor; 0 when it is not open. */
    [[nodiscard]] Va file(const Process& process, int fd) const;

    FakeMemory memory;

  private:
    Va allocate(std::uint64_t bytes);
    int open_inode(const Process& process, std::uint16_t mode, std::uint32_t rdev, std::uint64_t magic);
    int install(const Process& process, Va file);

    Va next_ = 0xffff888000100000;
};

} // namespace tripod::test
