// SPDX-License-Identifier: Apache-2.0
#include "net/tcp_connection.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace tripod::net {
namespace {

// The guest's numbers: Linux' on x86-64, whatever this is compiled on.
constexpr std::uint16_t kInet = 2, kInet6 = 10, kStream = 1;
constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<Ipv4Address> ipv4_of(std::uint16_t family, const std::uint8_t (&bytes)[16]) {
    const std::uint8_t* at = bytes;
    if (family == kInet6) {
        if (!std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes))
            return std::nullopt;
        at = bytes + kMappedPrefix.size();
    }
    return Ipv4Address{std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3]};
}

} // namespace

std::string TcpConnection::text() const {
    return fmt::format("{}:{} - {}:{}", guest.text(), guest_port, client.text(), client_port);
}

std::optional<TcpConnection> connection_of(const tripod_socket& socket) {
    if ((socket.family != kInet && socket.family != kInet6) || socket.type != kStream)
        return std::nullopt;
    const auto local = ipv4_of(socket.family, socket.local_addr);
    const auto remote = ipv4_of(socket.family, socket.remote_addr);
    if (!local || !remote || remote->value == 0 || socket.local_port == 0 || socket.remote_port == 0)
        return std::nullopt;
    return TcpConnection{*local, *remote, socket.local_port, socket.remote_port};
}

} // namespace tripod::net
