// SPDX-License-Identifier: Apache-2.0
#include "../tools/peer_list.h"

#include <cstdlib>
#include <fmt/format.h>

namespace rdma_paxos::tools {

tl::expected<std::pair<ReplicaId, TcpAddress>, Error> parse_peer(const std::string& text, bool needs_address) {
    const auto equals = text.find('='), colon = text.rfind(':');
    const int id = std::atoi(text.c_str());
    TcpAddress address;
    if (equals != std::string::npos && colon != std::string::npos && colon > equals) {
        address.host = text.substr(equals + 1, colon - equals - 1);
        address.port = static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1));
    }
    if (id < 1 || id > max_replica_id || (needs_address && address.port == 0))
        return tl::make_unexpected(Error{fmt::format("\"{}\" is not ID=ADDRESS:PORT", text)});
    return std::pair(ReplicaId(static_cast<std::uint8_t>(id)), address);
}

} // namespace rdma_paxos::tools
