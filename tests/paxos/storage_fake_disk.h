// SPDX-License-Identifier: Apache-2.0
//
// A file system in memory, with the faults of real ones: power cuts that lose or tear what was not synced (512-byte
// sectors survive whole or not at all, in any choice), errors on demand, a size limit, bits that flip.
//
// Threading: any thread; one lock.
#pragma once

#include "storage/syscalls.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>

namespace rdma_paxos {

class FakeDisk : public Syscalls {
  public:
    using File = std::vector<std::byte>;

    explicit FakeDisk(std::uint64_t seed = 1) : random_(seed) {}

    // What a test does to it.

    /// After this many more calls that change something, the power fails in the middle of one. Nothing works then.
    void cut_power_after(std::uint64_t calls);
    bool power_is_cut();
    /// What survived is what there is; all files are closed.
    void restart();

    /// From the call of that name that follows `skip` others, all of them fail.
    void fail(const std::string& call, int error, std::uint64_t skip = 0);
    /// Reading these bytes of that file fails.
    void make_unreadable(const std::string& path, std::uint64_t from, std::uint64_t to);
    void limit_space(std::uint64_t bytes);

    std::map<std::string, File> files(); ///< a copy, by path
    void put(const std::string& path, File bytes);
    void flip(const std::string& path, std::uint64_t byte, std::uint8_t mask);

    int open(const std::string& path, int flags) override;
    int close(int file) override;
    ssize_t pread(int file, std::span<std::byte> into, std::uint64_t offset) override;
    ssize_t pwrite(int file, Bytes bytes, std::uint64_t offset) override;
    int fallocate(int file, std::uint64_t bytes) override;
    int fsync(int file) override;
    int flock(int file) override;
    std::int64_t size(int file) override;
    int rename(const std::string& from, const std::string& to) override;
    int unlink(const std::string& path) override;
    int mkdir(const std::string& path) override;
    int list(const std::string& path, std::vector<std::string>& names) override;

  private:
    struct Inode {
        File now;
        File durable;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> unreadable;
    };
    struct Opened {
        std::shared_ptr<Inode> inode; ///< null: the folder
        int flags = 0;
    };
    using Names = std::map<std::string, std::shared_ptr<Inode>>;

    int spoiled(const std::string& call); ///< an errno to fail with, or 0
    bool cut_now();                       ///< counts a call that changes something
    void lose_power();

    std::mutex mutex_;
    std::mt19937_64 random_;
    Names now_;
    Names durable_;
    std::map<int, Opened> opened_;
    std::set<Inode*> locked_;
    int next_file_ = 3;
    std::optional<std::uint64_t> cut_after_;
    bool dead_ = false;
    std::map<std::string, std::pair<int, std::uint64_t>> failures_;
    std::uint64_t space_ = ~std::uint64_t{0};
};

} // namespace rdma_paxos
