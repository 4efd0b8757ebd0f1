// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection of the guest, named by its four numbers.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "net/address.h"
#include <public/tripod.h>

namespace tripod::net {

struct TcpConnection {
    Ipv4Address guest, client;
    std::uint16_t guest_port = 0, client_port = 0;

    std::string text() const;
    auto
    operator<=>(const TcpConnection&) const = default; // NOLINT(modernize-use-nullptr): the compiler\'s own code
};

/**
 * The connection that a socket of the log stands for; IPv4 within IPv6 (::ffff:a.b.c.d) counts as IPv4. Nothing for
 * what is no connected TCP socket, and for IPv6, which cannot be reset yet.
 */
std::optional<TcpConnection> connection_of(const tripod_socket& socket);

} // namespace tripod::net
