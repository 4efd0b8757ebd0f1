// SPDX-License-Identifier: Apache-2.0
#include "net/reset_machine.h"

#include <algorithm>
#include <utility>

namespace tripod::net {
namespace {

using namespace std::chrono_literals;
constexpr auto kProbeInterval = 600ms;  // above Linux' limit of one answer in 500 ms
constexpr auto kConfirmInterval = 50ms; // the first probe after a RST: answered at once when the RST was obeyed
constexpr auto kAskInterval = 200ms;
constexpr auto kBurstInterval = 2ms;
constexpr int kAsksBeforeGateway = 2;
// ARP questions of the guest about that many addresses are relayed; more would be a guest gone wild.
constexpr std::size_t kNeighboursMax = 4096;
// In frames to the guest the client's MAC is not known and not looked at: a locally administered one.
constexpr MacAddress kPlaceholder{{0x02, 0x00, 0x00, 0x00, 0x00, 0x01}};
constexpr std::uint32_t kHalfSequence = 1u << 31;

} // namespace

const char* reset_outcome_name(ResetOutcome outcome) {
    switch (outcome) {
    case ResetOutcome::pending:
        return "pending";
    case ResetOutcome::reset:
        return "reset";
    case ResetOutcome::already_gone:
        return "already gone";
    case ResetOutcome::unconfirmed:
        return "unconfirmed";
    case ResetOutcome::no_answer:
        return "no answer";
    }
    return "?";
}

ResetMachine::ResetMachine(const ResetSetup& setup, std::span<const TcpConnection> connections, std::uint32_t seed)
    : setup_(setup), random_(seed) {
    for (const TcpConnection& connection : connections) {
        Entry entry;
        entry.connection = connection;
        entry.probe_seq = static_cast<std::uint32_t>(random_());
        by_connection_.emplace(connection, entries_.size());
        entries_.push_back(entry);
        neighbours_.try_emplace(connection.client);
    }
    open_ = by_connection_.size();
}

void ResetMachine::settle(Entry& entry, ResetOutcome outcome) {
    if (entry.outcome != ResetOutcome::pending)
        return;
    entry.outcome = outcome;
    entry.reset_due = false;
    --open_;
}

void ResetMachine::give_up() {
    for (Entry& entry : entries_)
        settle(entry, entry.reset_at ? ResetOutcome::unconfirmed : ResetOutcome::no_answer);
    open_ = 0;
}

std::vector<ResetOutcome> ResetMachine::outcomes() const {
    std::vector<ResetOutcome> outcomes;
    // A connection given twice was worked on once.
    for (const Entry& entry : entries_)
        outcomes.push_back(entries_[by_connection_.at(entry.connection)].outcome);
    return outcomes;
}

void ResetMachine::on_frame(Side side, FrameView frame, Time now) {
    if (const auto arp = parse_arp(frame))
        on_arp(side, *arp, now);
    else if (const auto segment = parse_tcp(frame))
        on_tcp(side, *segment, now);
}

void ResetMachine::on_arp(Side side, const ArpPacket& arp, Time now) {
    if (side == Side::network) {
        const auto found = neighbours_.find(arp.sender_ip);
        if (found == neighbours_.end() || arp.sender_mac.is_zero() || arp.sender_mac == setup_.guest_mac)
            return;
        found->second.mac = arp.sender_mac;
        if (found->second.by_guest)
            answer_guest(arp.sender_ip, arp.sender_mac);
        return;
    }
    // The guest is cut off and asks for its client or its gateway. It gets the true answer, or none: a made-up one
    // would stay in its cache and lead it astray once it is on the network.
    if (setup_.end != ResetSetup::End::guest || arp.operation != ArpPacket::Operation::request ||
        arp.sender_ip == arp.target_ip || neighbours_.size() >= kNeighboursMax)
        return;
    Neighbour& neighbour = neighbours_[arp.target_ip];
    neighbour.by_guest = true;
    if (neighbour.mac)
        answer_guest(arp.target_ip, *neighbour.mac);
    else
        ask(arp.target_ip, neighbour, now);
}

void ResetMachine::answer_guest(Ipv4Address ip, MacAddress mac) {
    const Ipv4Address guest = entries_.empty() ? Ipv4Address{} : entries_.front().connection.guest;
    out_.push_back({Side::guest, build_arp({ArpPacket::Operation::reply, mac, setup_.guest_mac, mac,
                                            setup_.guest_mac, ip, guest})});
}

void ResetMachine::ask(Ipv4Address ip, Neighbour& neighbour, Time now) {
    if (now < neighbour.next_ask)
        return;
    neighbour.next_ask = now + kAskInterval;
    ++neighbour.asked;
    // While the guest is cut off the question is the host's own, with no sender address (an RFC 5227 probe): nobody
    // must learn yet that the guest's address is here. Afterwards it is the guest's.
    const bool as_guest = setup_.end == ResetSetup::End::client;
    const MacAddress mac = as_guest ? setup_.guest_mac : setup_.own_mac;
    const Ipv4Address sender = as_guest ? entries_.front().connection.guest : Ipv4Address{};
    out_.push_back({Side::network,
                    build_arp({ArpPacket::Operation::request, mac, MacAddress::broadcast(), mac, {}, sender, ip})});
}

std::optional<MacAddress> ResetMachine::next_hop(Ipv4Address client) {
    const Neighbour& direct = neighbours_[client];
    if (direct.mac || !setup_.gateway || direct.asked < kAsksBeforeGateway)
        return direct.mac;
    return neighbours_[*setup_.gateway].mac;
}

void ResetMachine::on_tcp(Side side, const TcpSegment& segment, Time now) {
    const bool from_guest = side == Side::guest;
    const TcpConnection connection =
        from_guest
            ? TcpConnection{segment.source, segment.destination, segment.source_port, segment.destination_port}
            : TcpConnection{segment.destination, segment.source, segment.destination_port, segment.source_port};
    const auto found = by_connection_.find(connection);
    if (found == by_connection_.end())
        return;
    Entry& entry = entries_[found->second];
    // The way that frames between the two take is told by the frames themselves, gateways included.
    if (setup_.end == ResetSetup::End::client) {
        const MacAddress hop = from_guest ? segment.frame_destination : segment.frame_source;
        if (hop != setup_.guest_mac && (hop.bytes[0] & 1) == 0)
            neighbours_[connection.client].mac = hop;
    }
    if (from_guest != (setup_.end == ResetSetup::End::guest) || entry.outcome != ResetOutcome::pending)
        return;

    // A SYN: that end opens the same four numbers anew. The old connection is gone, and the new one must live.
    const bool anew = segment.has(tcp_flag::syn) && !segment.has(tcp_flag::ack);
    if (segment.has(tcp_flag::rst) || anew) {
        settle(entry, entry.reset_at ? ResetOutcome::reset : ResetOutcome::already_gone);
    } else if (segment.has(tcp_flag::ack)) {
        entry.reset_at = segment.ack;
        entry.reset_due = true;
        next_poll_ = now;
    }
}

TcpSegment ResetMachine::segment_to(const Entry& entry, MacAddress source, MacAddress destination) const {
    const TcpConnection& connection = entry.connection;
    TcpSegment segment;
    segment.frame_source = source;
    segment.frame_destination = destination;
    const bool to_guest = setup_.end == ResetSetup::End::guest;
    segment.source = to_guest ? connection.client : connection.guest;
    segment.destination = to_guest ? connection.guest : connection.client;
    segment.source_port = to_guest ? connection.client_port : connection.guest_port;
    segment.destination_port = to_guest ? connection.guest_port : connection.client_port;
    return segment;
}

void ResetMachine::serve(Entry& entry, Time now) {
    const bool to_guest = setup_.end == ResetSetup::End::guest;
    Neighbour& neighbour = neighbours_[entry.connection.client];
    const auto hop = next_hop(entry.connection.client);
    // The client's own MAC is wanted in both directions: to send to it, and to answer the guest's question for it.
    if (!neighbour.mac && !hop) {
        ask(entry.connection.client, neighbour, now);
        if (setup_.gateway && neighbour.asked > kAsksBeforeGateway)
            ask(*setup_.gateway, neighbours_[*setup_.gateway], now);
        if (!to_guest)
            return;
    }
    const Side side = to_guest ? Side::guest : Side::network;
    TcpSegment segment = to_guest ? segment_to(entry, hop.value_or(kPlaceholder), setup_.guest_mac)
                                  : segment_to(entry, setup_.guest_mac, *hop);
    if (entry.reset_due) {
        segment.seq = *entry.reset_at;
        segment.flags = tcp_flag::rst;
        out_.push_back({side, build_tcp(segment)});
        entry.reset_due = false;
        entry.next_probe = now + kConfirmInterval;
        return;
    }
    segment.seq = entry.probe_seq;
    segment.ack = static_cast<std::uint32_t>(random_());
    segment.flags = tcp_flag::ack;
    out_.push_back({side, build_tcp(segment)});
    // Half the number space away: two probes in a row cannot both lie inside one window.
    entry.probe_seq += kHalfSequence + static_cast<std::uint32_t>(random_() % (kHalfSequence / 4));
    entry.next_probe = now + kProbeInterval;
}

std::vector<ResetMachine::Outgoing> ResetMachine::poll(Time now) {
    next_poll_ = now + kAskInterval;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (out_.size() >= kBurst) {
            first_ = (first_ + i) % entries_.size();
            next_poll_ = now + kBurstInterval;
            return std::exchange(out_, {});
        }
        Entry& entry = entries_[(first_ + i) % entries_.size()];
        if (entry.outcome != ResetOutcome::pending ||
            by_connection_.at(entry.connection) != (first_ + i) % entries_.size())
            continue;
        if (entry.reset_due || now >= entry.next_probe)
            serve(entry, now);
        next_poll_ = std::min(next_poll_, std::max(entry.next_probe, now + kBurstInterval));
    }
    return std::exchange(out_, {});
}

} // namespace tripod::net
