// SPDX-License-Identifier: Apache-2.0
#include "../tools/state_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace rdma_paxos::tools {

namespace {

Error failed(const std::string& what) {
    return {fmt::format("{}: {}", what, std::strerror(errno))};
}

tl::expected<void, Error> write_whole(const std::string& path, Bytes bytes) {
    const std::string aside = path + ".new";
    const int fd = open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tl::make_unexpected(failed("creating " + aside));
    bool good = true;
    for (std::size_t done = 0; good && done < bytes.size();) {
        const ssize_t wrote = ::write(fd, bytes.data() + done, bytes.size() - done);
        good = wrote > 0;
        done += good ? static_cast<std::size_t>(wrote) : 0;
    }
    good = good && fsync(fd) == 0;
    good = ::close(fd) == 0 && good && rename(aside.c_str(), path.c_str()) == 0;
    if (!good)
        return tl::make_unexpected(failed("writing " + path));
    const int folder = open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0)
        ::close(folder);
    if (!good)
        return tl::make_unexpected(failed("syncing the folder of " + path));
    return {};
}

} // namespace

// Four bytes: the size of the encoded point, little-endian; the point; the state. Both have checksums of their own.
tl::expected<std::optional<StateFile::Content>, Error> StateFile::read() const {
    if (!std::filesystem::exists(path_))
        return std::nullopt;
    std::ifstream file(path_, std::ios::binary);
    const std::vector<char> all{std::istreambuf_iterator<char>(file), {}};
    std::uint32_t size = 0;
    if (!file || all.size() < sizeof size)
        return tl::make_unexpected(Error{path_ + " cannot be read"});
    std::memcpy(&size, all.data(), sizeof size);
    const Bytes bytes = std::as_bytes(std::span(all)).subspan(sizeof size);
    const auto point = size <= bytes.size() ? decode_snapshot_point(bytes.first(size), group_) : std::nullopt;
    if (!point)
        return tl::make_unexpected(Error{path_ + " is damaged, or belongs to another group"});
    return Content{*point, {bytes.begin() + size, bytes.end()}};
}

void StateFile::write(const SnapshotPoint& point, std::vector<std::byte> state) {
    writing_ = std::async(
        std::launch::async,
        [path = path_, group = group_, point, state = std::move(state)]() -> tl::expected<SnapshotPoint, Error> {
            std::vector<std::byte> bytes(sizeof(std::uint32_t));
            const std::vector<std::byte> encoded = encode(point, group);
            const auto size = static_cast<std::uint32_t>(encoded.size());
            std::memcpy(bytes.data(), &size, sizeof size);
            bytes.insert(bytes.end(), encoded.begin(), encoded.end());
            bytes.insert(bytes.end(), state.begin(), state.end());
            if (auto ok = write_whole(path, bytes); !ok)
                return tl::make_unexpected(ok.error());
            return point;
        });
}

tl::expected<void, Error> StateFile::write_now(const SnapshotPoint& point, std::vector<std::byte> state) {
    if (busy())
        writing_.wait();
    write(point, std::move(state));
    if (const auto done = writing_.get(); !done)
        return tl::make_unexpected(done.error());
    return {};
}

std::optional<tl::expected<SnapshotPoint, Error>> StateFile::written() {
    if (!writing_.valid() || writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
        return std::nullopt;
    return writing_.get();
}

} // namespace rdma_paxos::tools
