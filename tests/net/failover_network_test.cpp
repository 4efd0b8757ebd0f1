// SPDX-License-Identifier: Apache-2.0
//
// The library's promises on real kernels' TCP: see failover_network.h for the network.
#include "failover_network.h"

#include "net/announce.h"
#include "net/connection_reset.h"
#include "net/links.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <fmt/format.h>
#include <sys/socket.h>

namespace tripod::net::test {
namespace {

using namespace std::chrono_literals;

class Links : public FailoverNetwork {};
class Reset : public FailoverNetwork {
  protected:
    ConnectionReset open_reset(std::optional<Ipv4Address> gateway = std::nullopt) {
        auto reset = ConnectionReset::open("vif2.0", "br-real", kGuestMac, gateway);
        if (!reset)
            throw std::runtime_error(reset.error().message);
        return std::move(*reset);
    }
};

TEST_F(Links, MovingIsIdempotentAndVisible) {
    EXPECT_EQ(bridge_of("vif2.0").value(), "br-iso");
    for (int i = 0; i < 2; ++i) {
        const auto moved = move_to_bridge("vif2.0", "br-real", kGuestMac);
        ASSERT_TRUE(moved) << moved.error().message;
        EXPECT_EQ(bridge_of("vif2.0").value(), "br-real");
    }
    EXPECT_NE(host.output("bridge fdb show dev vif2.0").find(kGuestMac.text()), std::string::npos);
    ASSERT_TRUE(move_to_bridge("vif2.0", "br-iso"));
    EXPECT_EQ(bridge_of("vif2.0").value(), "br-iso");
}

TEST_F(Links, NewBridgeIsUpAndWithoutAddresses) {
    for (int i = 0; i < 2; ++i)
        ASSERT_TRUE(ensure_bridge("br-new"));
    ASSERT_TRUE(ensure_bridge("br-iso")); // keeps its port
    EXPECT_EQ(bridge_of("vif2.0").value(), "br-iso");
    ASSERT_TRUE(move_to_bridge("vif2.0", "br-new")); // gives it a carrier
    const std::string shown = host.output("ip -o link show br-new; ip -o addr show br-new");
    EXPECT_NE(shown.find("UP"), std::string::npos) << shown;
    EXPECT_EQ(shown.find("inet"), std::string::npos) << shown;
}

TEST_F(Links, ErrorsNameTheDevice) {
    const auto message = [](const Result<void>& result) { return result ? std::string{} : result.error().message; };
    EXPECT_NE(message(move_to_bridge("vif9.0", "br-real")).find("vif9.0"), std::string::npos);
    EXPECT_NE(message(move_to_bridge("vif2.0", "br-none")).find("br-none"), std::string::npos);
    EXPECT_NE(message(move_to_bridge("vif2.0", "uplink")).find("no Linux bridge"), std::string::npos);
    EXPECT_NE(message(ensure_bridge("uplink")).find("no Linux bridge"), std::string::npos);
    EXPECT_NE(message(ensure_bridge("a-name-that-is-too-long")).find("a-name"), std::string::npos);
    EXPECT_EQ(bridge_of("vif2.0").value(), "br-iso");
    EXPECT_FALSE(ConnectionReset::open("vif9.0", "br-real", kGuestMac));
    EXPECT_FALSE(Announcer::open("br-none", kGuestMac, {}, {}));
}

// The primary runs on another host, so the backup's bridge has learned that the VM is behind the uplink.
TEST_F(Links, FramesFindTheVmAtOnceAlthoughTheBridgeLearnedAnotherPlace) {
    kill_primary();
    host.run(fmt::format("bridge fdb replace {} dev uplink master dynamic", kGuestMac.text()));
    client.run(fmt::format("ip neigh replace 10.77.0.2 lladdr {} dev eth0", kGuestMac.text()));
    const UniqueFd listening = listen_in(backup);
    move_backup();
    connect_from(client); // times out when its SYN is led back to the uplink
}

TEST_F(Links, AnnouncementChangesTheClientsNeighbour) {
    client.run("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev eth0 nud reachable");
    std::this_thread::sleep_for(1100ms); // Linux heeds no change within a second of the last (locktime)
    kill_primary();
    move_backup();
    std::this_thread::sleep_for(100ms);
    const std::string shown = client.output("ip neigh show 10.77.0.2");
    EXPECT_NE(shown.find(kGuestMac.text()), std::string::npos) << shown;
}

TEST_F(Links, AnnouncerRepeatsWithGrowingGapsAndEnds) {
    auto announcer = Announcer::open("br-real", kGuestMac, {kGuest}, {});
    ASSERT_TRUE(announcer);
    Announcer::Time now{}, last{};
    std::chrono::nanoseconds gap{0};
    int announcements = 1;
    for (auto due = announcer->step(now); due; due = announcer->step(now), ++announcements) {
        EXPECT_GT(*due - last, gap);
        EXPECT_EQ(announcer->step(now), due); // too early: nothing happens
        gap = *due - last;
        last = now = *due;
    }
    EXPECT_EQ(announcements, 8);
    EXPECT_EQ(announcer->step(now + 1h), std::nullopt);
}

// A connection opened after protection began, whose client waits for an answer: no bytes are on their way that
// could make either end notice by itself.
TEST_F(Reset, IdleClientWithoutASocketInTheGuest) {
    const UniqueFd listening_primary = listen_in(primary), listening_backup = listen_in(backup);
    const UniqueFd waiting = connect_from(client);
    const UniqueFd accepted(accept(listening_primary.get(), nullptr, nullptr));
    expect_alive(waiting.get(), accepted.get());
    const TcpConnection connection = connection_of_client_socket(waiting.get());
    kill_primary();

    ConnectionReset reset = open_reset();
    move_backup();
    const auto start = std::chrono::steady_clock::now();
    const auto outcomes = reset.reset_client_end(std::span(&connection, 1), in_seconds(5));
    EXPECT_EQ(outcomes, std::vector{ResetOutcome::reset});
    EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
    EXPECT_EQ(read_error(waiting.get()), ECONNRESET);

    const UniqueFd again = connect_from(client);
    const UniqueFd accepted_again(accept(listening_backup.get(), nullptr, nullptr));
    expect_alive(again.get(), accepted_again.get());
    // What is reset stays reset, and the new connection is none of those.
    EXPECT_EQ(reset.reset_client_end(std::span(&connection, 1), in_seconds(5)),
              std::vector{ResetOutcome::already_gone});
    expect_alive(again.get(), accepted_again.get());
}

// A connection open when protection began: the copied guest has a stale socket for it.
TEST_F(Reset, BothEndsOfAStaleConnection) {
    const UniqueFd listening_primary = listen_in(primary), listening_backup = listen_in(backup);
    const UniqueFd waiting = connect_from(client);
    const UniqueFd accepted(accept(listening_primary.get(), nullptr, nullptr));
    expect_alive(waiting.get(), accepted.get());
    const TcpConnection connection = connection_of_client_socket(waiting.get());
    const UniqueFd stale = stale_socket_in(backup, connection);
    kill_primary();

    ConnectionReset reset = open_reset();
    EXPECT_EQ(reset.reset_guest_end(std::span(&connection, 1), in_seconds(5)), std::vector{ResetOutcome::reset});
    EXPECT_EQ(read_error(stale.get()), ECONNRESET);
    // The guest asked who has its client's address and was told the truth.
    const std::string neighbour = backup.output("ip neigh show 10.77.0.1");
    EXPECT_NE(neighbour.find(kClientMac.text()), std::string::npos) << neighbour;
    // The client knows nothing of it yet: nothing left the isolated bridge.
    char byte = 0;
    EXPECT_EQ(recv(waiting.get(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);

    move_backup();
    EXPECT_EQ(reset.reset_client_end(std::span(&connection, 1), in_seconds(5)), std::vector{ResetOutcome::reset});
    EXPECT_EQ(read_error(waiting.get()), ECONNRESET);

    const UniqueFd again = connect_from(client);
    const UniqueFd accepted_again(accept(listening_backup.get(), nullptr, nullptr));
    expect_alive(again.get(), accepted_again.get());
}

TEST_F(Reset, GuestWithoutSuchASocketSaysSo) {
    const UniqueFd listening = listen_in(backup);
    const TcpConnection never{kGuest, kClient, kPort, 33333};
    EXPECT_EQ(open_reset().reset_guest_end(std::span(&never, 1), in_seconds(5)),
              std::vector{ResetOutcome::already_gone});
}

TEST_F(Reset, UnreachableClientIsReportedAtTheDeadline) {
    const UniqueFd listening_primary = listen_in(primary);
    const UniqueFd waiting = connect_from(client);
    const TcpConnection connection = connection_of_client_socket(waiting.get());
    kill_primary();
    move_backup();
    client.run("ip link set eth0 down");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(open_reset().reset_client_end(std::span(&connection, 1), in_seconds(1)),
              std::vector{ResetOutcome::no_answer});
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, 900ms);
    EXPECT_LT(took, 3s); // however busy the machine is
}

TEST_F(Reset, ClientBehindARouter) {
    Namespace router = Namespace::make(), remote = Namespace::make();
    ASSERT_TRUE(remote.valid());
    host.run(fmt::format("ip link add lan type veth peer name eth0 netns /proc/{}/fd/{} && "
                         "ip link set lan up master br-real",
                         getpid(), router.fd()));
    router.run(
        fmt::format("ip link add eth1 type veth peer name eth0 netns /proc/{}/fd/{}", getpid(), remote.fd()));
    router.run("ip addr add 10.77.0.254/24 dev eth0; ip addr add 192.0.2.254/24 dev eth1; ip link set eth0 up; "
               "ip link set eth1 up; echo 1 > /proc/sys/net/ipv4/ip_forward");
    remote.run("ip addr add 192.0.2.9/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.254");

    const UniqueFd listening_primary = listen_in(primary);
    const UniqueFd waiting = connect_from(remote);
    const UniqueFd accepted(accept(listening_primary.get(), nullptr, nullptr));
    expect_alive(waiting.get(), accepted.get());
    const TcpConnection connection = connection_of_client_socket(waiting.get());
    EXPECT_EQ(connection.client, *Ipv4Address::parse("192.0.2.9"));
    const UniqueFd stale = stale_socket_in(backup, connection);
    kill_primary();

    ConnectionReset reset = open_reset(kGateway);
    EXPECT_EQ(reset.reset_guest_end(std::span(&connection, 1), in_seconds(5)), std::vector{ResetOutcome::reset});
    EXPECT_EQ(read_error(stale.get()), ECONNRESET);
    move_backup();
    EXPECT_EQ(reset.reset_client_end(std::span(&connection, 1), in_seconds(5)), std::vector{ResetOutcome::reset});
    EXPECT_EQ(read_error(waiting.get()), ECONNRESET);
}

TEST_F(Reset, HundredsAtOnce) {
    constexpr int count = 300;
    const UniqueFd listening_primary = listen_in(primary), listening_backup = listen_in(backup);
    std::vector<UniqueFd> waiting, accepted, stale;
    std::vector<TcpConnection> connections;
    for (int i = 0; i < count; ++i) {
        waiting.push_back(connect_from(client));
        accepted.emplace_back(accept(listening_primary.get(), nullptr, nullptr));
        connections.push_back(connection_of_client_socket(waiting.back().get()));
        stale.push_back(stale_socket_in(backup, connections.back()));
    }
    kill_primary();
    ConnectionReset reset = open_reset();
    const auto start = std::chrono::steady_clock::now();
    const std::vector<ResetOutcome> all_reset(count, ResetOutcome::reset);
    EXPECT_EQ(reset.reset_guest_end(connections, in_seconds(10)), all_reset);
    move_backup();
    EXPECT_EQ(reset.reset_client_end(connections, in_seconds(10)), all_reset);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took, 8s);
    RecordProperty("milliseconds", static_cast<int>(took / 1ms));
    for (int i = 0; i < count; ++i) {
        ASSERT_EQ(read_error(waiting[static_cast<std::size_t>(i)].get()), ECONNRESET);
        ASSERT_EQ(read_error(stale[static_cast<std::size_t>(i)].get()), ECONNRESET);
    }
}

} // namespace
} // namespace tripod::net::test
