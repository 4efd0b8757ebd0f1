// SPDX-License-Identifier: Apache-2.0
//
// The state of a durable node as of some point of the log, in the file "state" of its folder. Written aside and
// renamed, so there is always a whole one.
//
// Threading: used by one thread; writes in one of its own, so that no disk delays a heartbeat.
#pragma once

#include "rdma_paxos/snapshot.h"

#include <future>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace rdma_paxos::tools {

class StateFile {
  public:
    StateFile(const std::string& folder, const GroupId& group) : path_(folder + "/state"), group_(group) {}

    struct Content {
        SnapshotPoint point;
        std::vector<std::byte> state;
    };
    /// None: there is no file yet. An error: it cannot be read, or is damaged.
    tl::expected<std::optional<Content>, Error> read() const;

    bool busy() const { return writing_.valid(); }
    /// Not while busy().
    void write(const SnapshotPoint& point, std::vector<std::byte> state);
    /// The same, and waits until it is on disk, after whatever was under way.
    tl::expected<void, Error> write_now(const SnapshotPoint& point, std::vector<std::byte> state);
    /// The point that has been written since the last call, if any.
    std::optional<tl::expected<SnapshotPoint, Error>> written();

  private:
    std::string path_;
    GroupId group_;
    std::future<tl::expected<SnapshotPoint, Error>> writing_;
};

} // namespace rdma_paxos::tools
