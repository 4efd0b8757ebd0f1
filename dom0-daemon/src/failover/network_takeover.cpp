// SPDX-License-Identifier: Apache-2.0
#include "failover/network_takeover.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "net/announce.h"
#include "net/connection_reset.h"
#include "net/links.h"

namespace tripod::failover {

namespace {

using Clock = std::chrono::steady_clock;
// While this lasts the VM is not on the network, so it must not be long; what is not reset by then, the guest's
// kernel and the clients find out by themselves, later.
constexpr std::chrono::milliseconds guest_reset_max{400};
constexpr std::chrono::milliseconds client_reset_max{5000};

class Takeover {
  public:
    explicit Takeover(const TakeoverPlan& plan) : plan_(plan) {}

    void open() {
        for (const auto& vif : plan_.vifs) {
            const auto bridge = plan_.bridges.find(vif.devid);
            if (bridge == plan_.bridges.end() || bridge->second.empty()) {
                note({ErrorCode::other, "no bridge is known for vif " + std::to_string(vif.devid), {}});
                continue;
            }
            Port port{
                xen::Vif::device_name(plan_.domid, vif.devid), bridge->second, net::MacAddress{vif.mac}, {}, {}};
            if (auto reset = net::ConnectionReset::open(port.interface, port.bridge, port.mac))
                port.reset.emplace(std::move(*reset));
            else
                log::warning("{}: {}", plan_.vm, reset.error().message);
            ports_.push_back(std::move(port));
        }
        for (const auto& connection : plan_.connections) {
            const auto tcp = net::connection_of(connection.socket);
            if (!tcp)
                continue;
            all_.push_back(*tcp);
            if (connection.preexisting)
                stale_.push_back(*tcp);
        }
    }

    // The copied guest kernel still holds connections whose numbers are long out of date.
    void reset_guest() {
        if (stale_.empty())
            return;
        for (auto& port : ports_)
            if (port.reset)
                tell("guest", port.reset->reset_guest_end(stale_, Clock::now() + guest_reset_max));
    }

    void move() {
        for (const auto& port : ports_)
            if (auto done = net::move_to_bridge(port.interface, port.bridge, port.mac); !done)
                note(done.error());
        for (auto& port : ports_) {
            auto announcer = net::Announcer::open(port.bridge, port.mac, addresses(), {});
            if (!announcer) {
                log::warning("{}: {}", plan_.vm, announcer.error().message);
                continue;
            }
            port.announcer.emplace(std::move(*announcer));
            port.announcer->step(Clock::now());
        }
    }

    void reset_clients() {
        if (all_.empty())
            return;
        for (auto& port : ports_)
            if (port.reset)
                tell("client", port.reset->reset_client_end(all_, Clock::now() + client_reset_max));
    }

    // Frames get lost, and switches may be slow to open a port: once is not enough.
    void announce_again(const std::function<bool()>& stopping) {
        while (!stopping()) {
            std::optional<Clock::time_point> next;
            for (auto& port : ports_) {
                if (!port.announcer)
                    continue;
                const auto due = port.announcer->step(Clock::now());
                if (!due)
                    port.announcer.reset();
                else if (!next || *due < *next)
                    next = due;
            }
            if (!next)
                return;
            std::this_thread::sleep_until(std::min(*next, Clock::now() + std::chrono::milliseconds(200)));
        }
    }

    Result<void> result() const {
        if (error_)
            return tl::unexpected(*error_);
        return {};
    }

  private:
    struct Port {
        std::string interface, bridge;
        net::MacAddress mac;
        std::optional<net::ConnectionReset> reset;
        std::optional<net::Announcer> announcer;
    };

    // Of what keeps the VM off the network.
    void note(const Error& error) {
        if (!error_)
            error_ = error;
    }

    void tell(const char* end, const std::vector<net::ResetOutcome>& outcomes) {
        for (const auto outcome : outcomes)
            log::debug("{}: a {}'s connection: {}", plan_.vm, end, net::reset_outcome_name(outcome));
    }

    // The guest's own addresses, as its connections and its configuration show them.
    std::vector<net::Ipv4Address> addresses() const {
        std::vector<net::Ipv4Address> found;
        for (const auto& connection : all_)
            found.push_back(connection.guest);
        for (const auto& vif : plan_.vifs)
            if (const auto ip = net::Ipv4Address::parse(vif.ip))
                found.push_back(*ip);
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
        return found;
    }

    const TakeoverPlan& plan_;
    std::vector<Port> ports_;
    std::vector<net::TcpConnection> all_, stale_;
    std::optional<Error> error_;
};

} // namespace

Result<void> take_over_network(const TakeoverPlan& plan, const std::function<bool()>& stopping,
                               const std::function<void()>& moved) {
    Takeover takeover(plan);
    takeover.open();
    takeover.reset_guest();
    takeover.move();
    if (auto all = takeover.result(); !all)
        return all;
    moved();
    takeover.reset_clients();
    takeover.announce_again(stopping);
    return {};
}

} // namespace tripod::failover
