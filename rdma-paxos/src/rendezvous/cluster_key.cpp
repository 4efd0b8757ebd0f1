// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/cluster_key.h"

#include "rendezvous/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

namespace rdma_paxos {

namespace {

std::string how_to_make(const std::string& path) {
    return fmt::format("make one with `(umask 077; head -c {} /dev/urandom > {})` and copy it to all hosts",
                       ClusterKey::size, path);
}

} // namespace

ClusterKey::~ClusterKey() {
    sodium_memzero(secret_.data(), secret_.size());
}

tl::expected<ClusterKey, Error> ClusterKey::load(const std::string& path) {
    const auto fail = [&](const std::string& problem, const std::string& remedy) {
        return tl::make_unexpected(Error{fmt::format("cluster key {}: {}; {}", path, problem, remedy)});
    };
    // Non-blocking: a FIFO in its place must not hold us up.
    const OwnedFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file)
        return fail(std::strerror(errno),
                    errno == ENOENT ? how_to_make(path) : "run as the user to whom it belongs");
    struct stat about {};
    if (fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode))
        return fail("not an ordinary file", how_to_make(path));
    if ((about.st_mode & 077) != 0)
        return fail(fmt::format("others than its owner may use it (mode {:04o})", about.st_mode & 07777),
                    fmt::format("if nobody else can have read it, `chmod 600 {0}`, else make a new one: "
                                "`head -c {1} /dev/urandom > {0}`",
                                path, size));
    if (about.st_uid != 0 && about.st_uid != geteuid())
        return fail(fmt::format("it belongs to user {}, neither root nor the one who runs this", about.st_uid),
                    fmt::format("`chown root {}`", path));
    std::array<std::byte, size + 1> bytes; // one more, to notice a file that is longer
    const ssize_t got = read(file.get(), bytes.data(), bytes.size());
    if (got != static_cast<ssize_t>(size)) {
        sodium_memzero(bytes.data(), bytes.size());
        return fail(got < 0 ? std::string(std::strerror(errno))
                            : fmt::format("has {} bytes, not {}", about.st_size, size),
                    how_to_make(path));
    }
    std::array<std::byte, size> secret;
    std::copy_n(bytes.begin(), size, secret.begin());
    sodium_memzero(bytes.data(), bytes.size());
    if (std::all_of(secret.begin(), secret.end(), [&](std::byte each) { return each == secret[0]; }))
        return fail("all its bytes are the same", how_to_make(path));
    ClusterKey key(secret);
    sodium_memzero(secret.data(), secret.size());
    return key;
}

} // namespace rdma_paxos
