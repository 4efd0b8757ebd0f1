// SPDX-License-Identifier: Apache-2.0
#include "replicate/connections.h"

#include <sys/socket.h>
#include <sys/syscall.h>

namespace tripod::replicate {

namespace {

// Of Linux' include/net/tcp_states.h.
constexpr uint16_t tcp_close = 7;
constexpr uint16_t tcp_listen = 10;

// A guest with more open connections than this is not followed further: the table must stay bounded.
constexpr size_t connections_max = 65536;

bool is_connection(const tripod_socket& socket) {
    return (socket.family == AF_INET || socket.family == AF_INET6) && socket.type == SOCK_STREAM &&
           socket.state != tcp_listen && socket.state != tcp_close && socket.remote_port != 0;
}

} // namespace

void ConnectionTable::apply(const record::RecordView& record) {
    const tripod_record& header = record.header();
    if (header.type == TRIPOD_REC_call && header.nr == SYS_close) {
        // Even a close that reports an error has released the descriptor.
        by_descriptor_.erase({header.tgid, header.fd});
        return;
    }
    const auto segment = record.segment(TRIPOD_SEG_socket);
    if (!segment)
        return;
    const auto socket = segment->socket();
    if (!socket)
        return;
    const bool announced = header.type == TRIPOD_REC_socket;
    const bool accepted = header.type == TRIPOD_REC_call && header.result >= 0 &&
                          (header.nr == SYS_accept || header.nr == SYS_accept4);
    if (!announced && !accepted)
        return;
    const Key key{header.tgid, announced ? header.fd : static_cast<int32_t>(header.result)};
    if (!is_connection(*socket) && announced) {
        by_descriptor_.erase(key);
        return;
    }
    if (by_descriptor_.size() < connections_max || by_descriptor_.contains(key))
        by_descriptor_[key] = Connection{*socket, announced};
}

std::vector<Connection> ConnectionTable::open() const {
    std::vector<Connection> all;
    all.reserve(by_descriptor_.size());
    for (const auto& [key, connection] : by_descriptor_)
        all.push_back(connection);
    return all;
}

} // namespace tripod::replicate
