// SPDX-License-Identifier: Apache-2.0
//
// How the programs of this library are told of a replica: "ID=ADDRESS:PORT", or "ID" where no address is needed.
#pragma once

#include "rdma_paxos/tcp_rendezvous.h"

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace rdma_paxos::tools {

tl::expected<std::pair<ReplicaId, TcpAddress>, Error> parse_peer(const std::string& text,
                                                                 bool needs_address = true);

} // namespace rdma_paxos::tools
