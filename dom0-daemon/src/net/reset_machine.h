// SPDX-License-Identifier: Apache-2.0
//
// Finds out, for many TCP connections at once, where one end stands, and resets it there. A state machine: frames
// and the time go in, frames come out; no sockets, no clock, no threads.
//
// How: a TCP that gets a segment from outside its window answers with an acknowledgement of what it expects next
// (RFC 9293, 3.10.7.4; Linux: tcp_send_dupack). So a bare ACK with an arbitrary number, the *probe*, makes the end
// tell the one number with which it must obey a RST (RFC 5961, 3.2). A second probe is then answered by a RST of
// "no such connection", which confirms it.
//
// Linux answers the probes of one connection at most once in 500 ms (net.ipv4.tcp_invalid_ratelimit), so retries
// wait longer than that. The number may by chance lie inside the window, and is then not answered: each retry takes
// another.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "net/packet.h"
#include "net/tcp_connection.h"

namespace tripod::net {

enum class ResetOutcome : std::uint8_t {
    pending,      ///< not finished
    reset,        ///< it was there, and is gone: confirmed
    already_gone, ///< that end knows no such connection
    unconfirmed,  ///< it was there and got an exact RST, but nothing confirmed that it obeyed
    no_answer,    ///< that end said nothing: down, unreachable, or behind a firewall that drops probes
};
const char* reset_outcome_name(ResetOutcome outcome);

struct ResetSetup {
    enum class End : std::uint8_t {
        guest, ///< resets the guest's sockets, in the clients' names; the guest is still cut off
        client ///< resets the clients' sockets, in the guest's name; the guest is on the network
    };
    End end = End::guest;
    MacAddress guest_mac;
    MacAddress own_mac;                 ///< the host's on the real bridge, for questions in the host's own name
    std::optional<Ipv4Address> gateway; ///< the guest's, for clients that do not answer ARP themselves
};

class ResetMachine {
  public:
    using Time = std::chrono::steady_clock::time_point;

    enum class Side : std::uint8_t {
        guest,  ///< the guest's interface. In: sent by the guest. Out: to be sent to the guest alone
        network ///< the real bridge. In: on its way to the guest or to this host. Out: to be sent on the bridge
    };
    struct Outgoing {
        Side side;
        Frame frame;
    };

    ResetMachine(const ResetSetup& setup, std::span<const TcpConnection> connections, std::uint32_t seed);

    /** Any frame seen on that side, hostile ones included; what it leads to is sent by the next poll(). */
    void on_frame(Side side, FrameView frame, Time now);
    /** The frames to send now: at most `kBurst`, as guests' interfaces have short queues. */
    std::vector<Outgoing> poll(Time now);
    /** When to call poll() again if no frame comes in before; meaningless once done(). */
    Time next_poll() const { return next_poll_; }
    bool done() const { return open_ == 0; }
    /** Gives up: what is pending becomes `unconfirmed` or `no_answer`. */
    void give_up();
    /** In the order in which the connections were given. */
    std::vector<ResetOutcome> outcomes() const;

    static constexpr std::size_t kBurst = 16;

  private:
    struct Entry {
        TcpConnection connection;
        ResetOutcome outcome = ResetOutcome::pending;
        std::optional<std::uint32_t> reset_at; ///< number of the RST to send, or sent
        bool reset_due = false;                ///< it is to be sent at the next poll
        std::uint32_t probe_seq = 0;
        Time next_probe{};
    };
    struct Neighbour {
        std::optional<MacAddress> mac;
        bool by_guest = false; ///< the guest asked for it and waits
        int asked = 0;
        Time next_ask{};
    };

    void on_arp(Side side, const ArpPacket& arp, Time now);
    void on_tcp(Side side, const TcpSegment& segment, Time now);
    void settle(Entry& entry, ResetOutcome outcome);
    void ask(Ipv4Address ip, Neighbour& neighbour, Time now);
    void answer_guest(Ipv4Address ip, MacAddress mac);
    std::optional<MacAddress> next_hop(Ipv4Address client);
    TcpSegment segment_to(const Entry& entry, MacAddress source, MacAddress destination) const;
    void serve(Entry& entry, Time now);

    ResetSetup setup_;
    std::vector<Entry> entries_;
    std::map<TcpConnection, std::size_t> by_connection_;
    std::map<Ipv4Address, Neighbour> neighbours_;
    std::vector<Outgoing> out_;
    std::mt19937 random_;
    std::size_t open_ = 0;
    std::size_t first_ = 0; ///< where the next poll() begins, so that bursts serve all in turn
    Time next_poll_{};
};

} // namespace tripod::net
