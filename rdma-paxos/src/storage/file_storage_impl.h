// SPDX-License-Identifier: Apache-2.0
//
// open_file_storage() on another operating system: for tests.
#pragma once

#include "rdma_paxos/file_storage.h"
#include "storage/syscalls.h"

namespace rdma_paxos {

/// `system` outlives the storage. It is used from the caller's thread while this call and read_back() last, and
/// from the storage's own thread from the first store_*() on.
tl::expected<std::unique_ptr<Storage>, Error> open_file_storage(const FileStorageOptions& options,
                                                                Syscalls& system);

} // namespace rdma_paxos
