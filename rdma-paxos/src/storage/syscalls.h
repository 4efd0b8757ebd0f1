// SPDX-License-Identifier: Apache-2.0
//
// The operating system as the storage sees it: the place where tests put a disk that tears, rots, fills up and
// dies.
#pragma once

#include "rdma_paxos/types.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace rdma_paxos {

/// Each does what the system call of that name does, and returns what it returns, or -errno. Used from one thread
/// at a time.
class Syscalls {
  public:
    virtual ~Syscalls() = default;
    virtual int open(const std::string& path, int flags);
    virtual int close(int file);
    virtual ssize_t pread(int file, std::span<std::byte> into, std::uint64_t offset);
    virtual ssize_t pwrite(int file, Bytes bytes, std::uint64_t offset);
    virtual int fallocate(int file, std::uint64_t bytes); ///< from the file's beginning
    virtual int fsync(int file);
    virtual int flock(int file); ///< exclusive; does not wait
    virtual std::int64_t size(int file);
    virtual int rename(const std::string& from, const std::string& to);
    virtual int unlink(const std::string& path);
    virtual int mkdir(const std::string& path);
    /// The names in a folder, in any order.
    virtual int list(const std::string& path, std::vector<std::string>& names);
};

} // namespace rdma_paxos
