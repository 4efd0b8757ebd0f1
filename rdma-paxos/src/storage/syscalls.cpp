// SPDX-License-Identifier: Apache-2.0
#include "storage/syscalls.h"

#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rdma_paxos {

namespace {

template <class Result>
Result or_errno(Result result) {
    return result < 0 ? static_cast<Result>(-errno) : result;
}

} // namespace

int Syscalls::open(const std::string& path, int flags) {
    return or_errno(::open(path.c_str(), flags | O_CLOEXEC, 0600));
}

int Syscalls::close(int file) {
    return or_errno(::close(file));
}

ssize_t Syscalls::pread(int file, std::span<std::byte> into, std::uint64_t offset) {
    return or_errno(::pread(file, into.data(), into.size(), static_cast<off_t>(offset)));
}

ssize_t Syscalls::pwrite(int file, Bytes bytes, std::uint64_t offset) {
    return or_errno(::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)));
}

int Syscalls::fallocate(int file, std::uint64_t bytes) {
    return or_errno(::fallocate(file, 0, 0, static_cast<off_t>(bytes)));
}

int Syscalls::fsync(int file) {
    return or_errno(::fsync(file));
}

int Syscalls::flock(int file) {
    return or_errno(::flock(file, LOCK_EX | LOCK_NB));
}

std::int64_t Syscalls::size(int file) {
    struct stat status {};
    return ::fstat(file, &status) < 0 ? -errno : status.st_size;
}

int Syscalls::rename(const std::string& from, const std::string& to) {
    return or_errno(::rename(from.c_str(), to.c_str()));
}

int Syscalls::unlink(const std::string& path) {
    return or_errno(::unlink(path.c_str()));
}

int Syscalls::mkdir(const std::string& path) {
    return or_errno(::mkdir(path.c_str(), 0700));
}

int Syscalls::list(const std::string& path, std::vector<std::string>& names) {
    DIR* folder = ::opendir(path.c_str());
    if (!folder)
        return -errno;
    errno = 0;
    while (const dirent* entry = ::readdir(folder))
        names.emplace_back(entry->d_name);
    const int failed = errno;
    ::closedir(folder);
    return -failed;
}

} // namespace rdma_paxos
