// SPDX-License-Identifier: Apache-2.0
#include "net/connection_reset.h"

#include <algorithm>
#include <array>
#include <random>

#include <poll.h>

namespace tripod::net {

Result<ConnectionReset> ConnectionReset::open(const std::string& interface, const std::string& bridge,
                                              MacAddress guest_mac, std::optional<Ipv4Address> gateway) {
    auto guest = PacketSocket::open(interface, PacketSocket::Receive::everything);
    if (!guest)
        return tl::unexpected(guest.error());
    auto network = PacketSocket::open(bridge, PacketSocket::Receive::arp);
    if (!network)
        return tl::unexpected(network.error());
    ResetSetup setup;
    setup.guest_mac = guest_mac;
    setup.own_mac = network->mac();
    setup.gateway = gateway;
    return ConnectionReset(std::move(*guest), std::move(*network), setup);
}

std::vector<ResetOutcome> ConnectionReset::reset_guest_end(std::span<const TcpConnection> connections,
                                                           Time deadline) {
    return run(ResetSetup::End::guest, connections, deadline);
}

std::vector<ResetOutcome> ConnectionReset::reset_client_end(std::span<const TcpConnection> connections,
                                                            Time deadline) {
    return run(ResetSetup::End::client, connections, deadline);
}

void ConnectionReset::receive_all(ResetMachine& machine) {
    using Side = ResetMachine::Side;
    // Bounded, so that a flood from the network cannot keep us from sending and from the deadline.
    constexpr int frames_max = 1024;
    const auto now = std::chrono::steady_clock::now();
    for (int i = 0; i < frames_max; ++i) {
        const auto received = guest_.receive();
        if (!received)
            break;
        machine.on_frame(received->outgoing ? Side::network : Side::guest, received->frame, now);
    }
    for (int i = 0; i < frames_max; ++i) {
        const auto received = network_.receive();
        if (!received)
            break;
        if (!received->outgoing)
            machine.on_frame(Side::network, received->frame, now);
    }
}

std::vector<ResetOutcome> ConnectionReset::run(ResetSetup::End end, std::span<const TcpConnection> connections,
                                               Time deadline) {
    setup_.end = end;
    ResetMachine machine(setup_, connections, std::random_device{}());
    while (!machine.done()) {
        auto now = std::chrono::steady_clock::now();
        if (now >= deadline) {
            machine.give_up();
            break;
        }
        for (const auto& [side, frame] : machine.poll(now))
            (side == ResetMachine::Side::guest ? guest_ : network_).send(frame);
        const Time wake = std::min(machine.next_poll(), deadline);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - std::chrono::steady_clock::now());
        std::array<pollfd, 2> waiting{{{guest_.fd(), POLLIN, 0}, {network_.fd(), POLLIN, 0}}};
        ::poll(waiting.data(), waiting.size(), static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1000)));
        receive_all(machine);
    }
    return machine.outcomes();
}

} // namespace tripod::net
