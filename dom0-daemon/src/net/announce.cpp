// SPDX-License-Identifier: Apache-2.0
#include "net/announce.h"

#include <array>

namespace tripod::net {
namespace {

using namespace std::chrono_literals;
// After each announcement; the last gap is the end. About 8 seconds in all.
constexpr std::array kGaps{50ms, 100ms, 250ms, 500ms, 1000ms, 2000ms, 4000ms};

} // namespace

std::vector<Frame> announcement(MacAddress mac, std::span<const Ipv4Address> ipv4,
                                std::span<const Ipv6Address> ipv6) {
    using Operation = ArpPacket::Operation;
    std::vector<Frame> frames;
    frames.push_back(build_arp({Operation::reverse_request, mac, MacAddress::broadcast(), mac, mac, {}, {}}));
    for (const Ipv4Address ip : ipv4) {
        frames.push_back(build_arp({Operation::request, mac, MacAddress::broadcast(), mac, {}, ip, ip}));
        frames.push_back(
            build_arp({Operation::reply, mac, MacAddress::broadcast(), mac, MacAddress::broadcast(), ip, ip}));
    }
    for (const Ipv6Address& ip : ipv6)
        frames.push_back(build_neighbour_advertisement(mac, ip));
    return frames;
}

Result<Announcer> Announcer::open(const std::string& interface, MacAddress mac, std::vector<Ipv4Address> ipv4,
                                  std::vector<Ipv6Address> ipv6) {
    auto socket = PacketSocket::open(interface, PacketSocket::Receive::nothing);
    if (!socket)
        return tl::unexpected(socket.error());
    return Announcer(std::move(*socket), announcement(mac, ipv4, ipv6));
}

std::optional<Announcer::Time> Announcer::step(Time now) {
    if (sent_ > kGaps.size())
        return std::nullopt;
    if (now < due_)
        return due_;
    for (const Frame& frame : frames_)
        socket_.send(frame);
    if (sent_++ == kGaps.size())
        return std::nullopt;
    due_ = now + kGaps[sent_ - 1];
    return due_;
}

} // namespace tripod::net
