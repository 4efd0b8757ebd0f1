// SPDX-License-Identifier: Apache-2.0
#include "net/packet_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace tripod::net {
namespace {

// Between a guest and its host, frames come unsegmented: up to 64 KiB and an Ethernet header.
constexpr std::size_t kFrameMax = (std::size_t{64} << 10) + 64;
// Answers of some hundred connections arrive in one burst.
constexpr int kReceiveBuffer = 4 << 20;

tl::unexpected<Error> failed(const std::string& interface, const char* what) {
    return fail(ErrorCode::other,
                fmt::format("cannot {} on interface {}: {}", what, interface, std::strerror(errno)),
                errno == EPERM ? "run the daemon as root" : "");
}

} // namespace

Result<PacketSocket> PacketSocket::open(const std::string& interface, Receive receive) {
    const int protocol = receive == Receive::everything ? ETH_P_ALL : receive == Receive::arp ? ETH_P_ARP : 0;
    PacketSocket result;
    result.interface_ = interface;
    result.buffer_.resize(kFrameMax);
    // Protocol 0 until it is bound: otherwise frames of every interface would come in before that.
    result.fd_ = UniqueFd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!result.fd_)
        return failed(interface, "open a packet socket");
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name)
        return fail(ErrorCode::other, fmt::format("no interface {}: its name is too long", interface));
    std::copy(interface.begin(), interface.end(), request.ifr_name);
    if (ioctl(result.fd_.get(), SIOCGIFHWADDR, &request) != 0)
        return failed(interface, "read the MAC address");
    std::memcpy(result.mac_.bytes.data(), request.ifr_hwaddr.sa_data, result.mac_.bytes.size());
    if (ioctl(result.fd_.get(), SIOCGIFINDEX, &request) != 0)
        return failed(interface, "find the index");

    const int index = request.ifr_ifindex;
    setsockopt(result.fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer);
    if (receive != Receive::nothing) {
        packet_mreq membership{};
        membership.mr_ifindex = index;
        membership.mr_type = PACKET_MR_PROMISC;
        if (setsockopt(result.fd_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
            return failed(interface, "listen promiscuously");
    }
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(static_cast<std::uint16_t>(protocol));
    address.sll_ifindex = index;
    if (bind(result.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return failed(interface, "bind a packet socket");
    return result;
}

bool PacketSocket::send(FrameView frame) {
    return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
}

std::optional<PacketSocket::Received> PacketSocket::receive() {
    sockaddr_ll from{};
    socklen_t length = sizeof from;
    // An interface that goes down is reported once as an error (ENETDOWN) and the socket stays usable.
    const ssize_t size = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT,
                                  reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0)
        return std::nullopt;
    return Received{FrameView(buffer_).first(static_cast<std::size_t>(size)), from.sll_pkttype == PACKET_OUTGOING};
}

} // namespace tripod::net
