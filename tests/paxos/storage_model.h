// SPDX-License-Identifier: Apache-2.0
//
// What a storage should hold, worked out the simple way, and helpers for tests of storages.
#pragma once

#include "rdma_paxos/storage.h"

#include <chrono>
#include <map>
#include <poll.h>

namespace rdma_paxos {

struct StoredModel {
    HardState state;
    SnapshotPoint base;
    std::vector<std::byte> log; ///< from base.position on

    std::uint64_t end() const { return base.position + log.size(); }

    void store_log(std::uint64_t position, Bytes bytes) {
        if (position < base.position) {
            bytes = bytes.subspan(std::min<std::uint64_t>(base.position - position, bytes.size()));
            position = base.position;
        }
        log.resize(position - base.position);
        log.insert(log.end(), bytes.begin(), bytes.end());
    }
    void store_base(const SnapshotPoint& point) {
        if (point.position < base.position)
            return;
        if (point.position >= end())
            log.clear();
        else
            log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(point.position - base.position));
        base = point;
    }
    friend bool operator==(const StoredModel&, const StoredModel&) = default;
};

/// What a storage that was just opened holds.
inline StoredModel read_all(Storage& storage) {
    StoredModel found{.state = storage.recovered().state, .base = storage.recovered().base, .log = {}};
    while (const auto stretch = storage.read_back()) {
        if (stretch->position > found.end())
            return {}; // a gap: nothing is like it
        found.store_log(stretch->position, stretch->bytes);
    }
    return found;
}

/// Waits until everything up to the ticket is on disk. False if the storage failed instead.
inline bool wait_for(Storage& storage, Ticket ticket) {
    for (;;) {
        if (storage.durable() >= ticket)
            return true;
        if (storage.failure())
            return storage.durable() >= ticket;
        pollfd event{.fd = storage.event_fd(), .events = POLLIN, .revents = 0};
        ::poll(&event, 1, 10000);
    }
}

inline std::vector<std::byte> pattern(std::size_t size, unsigned start) {
    std::vector<std::byte> bytes(size);
    for (std::size_t at = 0; at < size; ++at)
        bytes[at] = static_cast<std::byte>((start + at * 7 + at / 256) & 0xff);
    return bytes;
}

inline SnapshotPoint base_at(std::uint64_t position) {
    SnapshotPoint point{.index = Index(position / 8),
                        .term = Term(1),
                        .position = position,
                        .check = position * 3,
                        .membership = {}};
    point.membership.voters.add({.id = ReplicaId(1), .witness = false, .incarnation = 7});
    return point;
}

} // namespace rdma_paxos
