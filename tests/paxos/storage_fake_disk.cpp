// SPDX-License-Identifier: Apache-2.0
#include "storage_fake_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>

namespace rdma_paxos {

namespace {
constexpr std::size_t sector = 512;
}

void FakeDisk::cut_power_after(std::uint64_t calls) {
    const std::lock_guard lock(mutex_);
    cut_after_ = calls;
}

bool FakeDisk::power_is_cut() {
    const std::lock_guard lock(mutex_);
    return dead_;
}

void FakeDisk::restart() {
    const std::lock_guard lock(mutex_);
    if (!dead_)
        lose_power();
    dead_ = false;
    cut_after_.reset();
    opened_.clear();
    locked_.clear();
    failures_.clear();
}

void FakeDisk::fail(const std::string& call, int error, std::uint64_t skip) {
    const std::lock_guard lock(mutex_);
    failures_[call] = {error, skip};
}

void FakeDisk::make_unreadable(const std::string& path, std::uint64_t from, std::uint64_t to) {
    const std::lock_guard lock(mutex_);
    now_.at(path)->unreadable.emplace_back(from, to);
}

void FakeDisk::limit_space(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    space_ = bytes;
}

std::map<std::string, FakeDisk::File> FakeDisk::files() {
    const std::lock_guard lock(mutex_);
    std::map<std::string, File> all;
    for (const auto& [path, inode] : now_)
        all[path] = inode->now;
    return all;
}

void FakeDisk::put(const std::string& path, File bytes) {
    const std::lock_guard lock(mutex_);
    auto inode = std::make_shared<Inode>();
    inode->now = inode->durable = std::move(bytes);
    now_[path] = durable_[path] = inode;
}

void FakeDisk::flip(const std::string& path, std::uint64_t byte, std::uint8_t mask) {
    const std::lock_guard lock(mutex_);
    Inode& inode = *now_.at(path);
    inode.now[byte] ^= std::byte{mask};
    inode.durable[byte] ^= std::byte{mask};
}

int FakeDisk::spoiled(const std::string& call) {
    if (dead_)
        return EIO;
    const auto found = failures_.find(call);
    if (found == failures_.end())
        return 0;
    if (found->second.second > 0) {
        --found->second.second;
        return 0;
    }
    return found->second.first;
}

bool FakeDisk::cut_now() {
    if (!cut_after_)
        return false;
    if (*cut_after_ > 0) {
        --*cut_after_;
        return false;
    }
    return true;
}

// Names that were not synced survive or not, each for itself.
void FakeDisk::lose_power() {
    dead_ = true;
    Names survivors;
    std::set<std::string> all;
    for (const auto& [path, inode] : now_)
        all.insert(path);
    for (const auto& [path, inode] : durable_)
        all.insert(path);
    for (const std::string& path : all) {
        const auto now = now_.find(path);
        const auto durable = durable_.find(path);
        const bool same = now != now_.end() && durable != durable_.end() && now->second == durable->second;
        const bool take_new = same || random_() % 2 == 0;
        if (take_new ? now != now_.end() : durable != durable_.end())
            survivors[path] = take_new ? now->second : durable->second;
    }
    for (auto& [path, inode] : survivors)
        inode->now = inode->durable;
    now_ = durable_ = survivors;
}

int FakeDisk::open(const std::string& path, int flags) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("open"))
        return -error;
    if (flags & O_DIRECTORY) {
        opened_[next_file_] = {nullptr, flags};
        return next_file_++;
    }
    auto found = now_.find(path);
    if (found == now_.end()) {
        if (!(flags & O_CREAT))
            return -ENOENT;
        if (cut_now()) {
            lose_power();
            return -EIO;
        }
        found = now_.emplace(path, std::make_shared<Inode>()).first;
    } else if (flags & O_EXCL) {
        return -EEXIST;
    }
    opened_[next_file_] = {found->second, flags};
    return next_file_++;
}

int FakeDisk::close(int file) {
    const std::lock_guard lock(mutex_);
    const auto found = opened_.find(file);
    if (found == opened_.end())
        return -EBADF;
    locked_.erase(found->second.inode.get());
    opened_.erase(found);
    return 0;
}

ssize_t FakeDisk::pread(int file, std::span<std::byte> into, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("pread"))
        return -error;
    const Inode& inode = *opened_.at(file).inode;
    if (offset >= inode.now.size())
        return 0;
    const std::size_t length = std::min<std::size_t>(into.size(), inode.now.size() - offset);
    for (const auto& [from, to] : inode.unreadable)
        if (from < offset + length && to > offset)
            return -EIO;
    std::memcpy(into.data(), inode.now.data() + offset, length);
    return static_cast<ssize_t>(length);
}

ssize_t FakeDisk::pwrite(int file, Bytes bytes, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("pwrite"))
        return -error;
    const Opened& opened = opened_.at(file);
    Inode& inode = *opened.inode;
    if (offset + bytes.size() > inode.now.size())
        inode.now.resize(offset + bytes.size());
    std::memcpy(inode.now.data() + offset, bytes.data(), bytes.size());
    const bool cut = cut_now();
    if (opened.flags & O_DSYNC || cut) {
        if (inode.durable.size() < inode.now.size() && !cut)
            inode.durable.resize(inode.now.size());
        for (std::uint64_t at = offset; at < offset + bytes.size();) {
            const std::uint64_t next = std::min((at / sector + 1) * sector, offset + bytes.size());
            if ((!cut || random_() % 2 == 0) && next <= inode.durable.size())
                std::memcpy(inode.durable.data() + at, inode.now.data() + at, next - at);
            at = next;
        }
    }
    if (cut) {
        lose_power();
        return -EIO;
    }
    return static_cast<ssize_t>(bytes.size());
}

int FakeDisk::fallocate(int file, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("fallocate"))
        return -error;
    std::uint64_t used = bytes;
    for (const auto& [path, inode] : now_)
        used += inode->now.size();
    if (used > space_)
        return -ENOSPC;
    Inode& inode = *opened_.at(file).inode;
    if (cut_now()) {
        if (random_() % 2 == 0)
            inode.durable.resize(bytes);
        lose_power();
        return -EIO;
    }
    if (inode.now.size() < bytes)
        inode.now.resize(bytes);
    return 0;
}

int FakeDisk::fsync(int file) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("fsync"))
        return -error;
    const Opened& opened = opened_.at(file);
    if (cut_now()) {
        if (opened.inode && random_() % 2 == 0)
            opened.inode->durable = opened.inode->now;
        lose_power();
        return -EIO;
    }
    if (opened.inode)
        opened.inode->durable = opened.inode->now;
    else
        durable_ = now_;
    return 0;
}

int FakeDisk::flock(int file) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("flock"))
        return -error;
    return locked_.insert(opened_.at(file).inode.get()).second ? 0 : -EWOULDBLOCK;
}

std::int64_t FakeDisk::size(int file) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("size"))
        return -error;
    return static_cast<std::int64_t>(opened_.at(file).inode->now.size());
}

int FakeDisk::rename(const std::string& from, const std::string& to) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("rename"))
        return -error;
    const auto found = now_.find(from);
    if (found == now_.end())
        return -ENOENT;
    now_[to] = found->second;
    now_.erase(from);
    if (cut_now()) {
        lose_power();
        return -EIO;
    }
    return 0;
}

int FakeDisk::unlink(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("unlink"))
        return -error;
    if (now_.erase(path) == 0)
        return -ENOENT;
    if (cut_now()) {
        lose_power();
        return -EIO;
    }
    return 0;
}

int FakeDisk::mkdir(const std::string&) {
    const std::lock_guard lock(mutex_);
    return -spoiled("mkdir");
}

int FakeDisk::list(const std::string& path, std::vector<std::string>& names) {
    const std::lock_guard lock(mutex_);
    if (const int error = spoiled("list"))
        return -error;
    for (const auto& [name, inode] : now_)
        if (name.starts_with(path + "/"))
            names.push_back(name.substr(path.size() + 1));
    return 0;
}

} // namespace rdma_paxos
