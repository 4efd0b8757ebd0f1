// SPDX-License-Identifier: Apache-2.0
//
// Storage in files of one folder. Each write is O_DSYNC; what is handed over while one is under way goes out with
// the next (group commit). docs/consensus-formats.md, "Disk format", specifies the files; scripts/rdma-paxos-log
// reads them.
//
// What is handed over is written before the storage is destroyed. A stretch larger than half the queue is taken
// when nothing else waits, and only then memory is allocated.
#pragma once

#include "rdma_paxos/storage.h"

#include <string>

namespace rdma_paxos {

struct FileStorageOptions {
    std::string folder; ///< made if missing; locked while in use
    GroupId group{};
    ReplicaId self;
    std::size_t segment_bytes = 16u << 20; ///< of a file; allocated in advance
    std::size_t queue_bytes = 8u << 20;    ///< handed over and not yet on disk
};

/// Recovers what is there. Errors: the folder cannot be used, is in use, belongs to another group, replica or
/// format version, or the disk is full. Damage is no error: see Recovered.
tl::expected<std::unique_ptr<Storage>, Error> open_file_storage(const FileStorageOptions& options);

} // namespace rdma_paxos
