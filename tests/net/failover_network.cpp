// SPDX-License-Identifier: Apache-2.0
#include "failover_network.h"

#include "net/announce.h"
#include "net/links.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace tripod::net::test {
namespace {

sockaddr_in address_of(Ipv4Address ip, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(ip.value);
    return address;
}

const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

/** A veth pair: `name` here in the host, eth0 with that MAC in `there`. */
std::string veth(const std::string& name, const Namespace& there, MacAddress mac) {
    return fmt::format(
        "ip link add {} type veth peer name eth0 address {} netns /proc/{}/fd/{} && ip link set {} up", name,
        mac.text(), getpid(), there.fd(), name);
}

} // namespace

void FailoverNetwork::SetUp() {
    original = Namespace::current();
    host = Namespace::make();
    client = Namespace::make();
    primary = Namespace::make();
    backup = Namespace::make();
    if (!host.valid() || !backup.valid())
        GTEST_SKIP() << "network namespaces cannot be made here (" << std::strerror(errno) << "): run as root";
    host.enter();
    const auto made = ensure_bridge("br-real");
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_TRUE(ensure_bridge("br-iso"));
    host.run(veth("uplink", client, kClientMac));
    host.run(veth("vif1.0", primary, kGuestMac));
    host.run(veth("vif2.0", backup, kGuestMac));
    ASSERT_TRUE(move_to_bridge("uplink", "br-real"));
    ASSERT_TRUE(move_to_bridge("vif1.0", "br-real"));
    ASSERT_TRUE(move_to_bridge("vif2.0", "br-iso"));
    // IPv6 speaks up by itself whenever a link comes up, and bridges would learn from it what the tests withhold.
    for (const Namespace* quiet : {&client, &primary, &backup})
        quiet->run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
    client.run("ip link set lo up; ip addr add 10.77.0.1/24 dev eth0; ip link set eth0 up");
    for (const Namespace* guest : {&primary, &backup})
        guest->run("ip link set lo up; ip addr add 10.77.0.2/24 dev eth0; ip link set eth0 up; "
                   "ip route add default via 10.77.0.254");
}

void FailoverNetwork::TearDown() {
    if (original.valid())
        original.enter();
}

UniqueFd FailoverNetwork::listen_in(const Namespace& where, std::uint16_t port) {
    UniqueFd fd;
    where.in([&] {
        fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int on = 1;
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const sockaddr_in address = address_of(Ipv4Address{}, port);
        ASSERT_EQ(bind(fd.get(), generic(address), sizeof address), 0) << std::strerror(errno);
        ASSERT_EQ(listen(fd.get(), 1024), 0);
    });
    return fd;
}

UniqueFd FailoverNetwork::connect_from(const Namespace& where, std::uint16_t port) {
    UniqueFd fd;
    where.in([&] {
        fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const timeval limit{5, 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); // of connect, too
        const sockaddr_in address = address_of(kGuest, port);
        EXPECT_EQ(connect(fd.get(), generic(address), sizeof address), 0) << std::strerror(errno);
    });
    return fd;
}

UniqueFd FailoverNetwork::stale_socket_in(const Namespace& where, const TcpConnection& connection) {
    UniqueFd fd;
    where.in([&] {
        fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto set = [&](int level, int option, int value) {
            return setsockopt(fd.get(), level, option, &value, sizeof value);
        };
        // REUSEADDR, to stand beside the listening socket as accepted connections do.
        set(SOL_SOCKET, SO_REUSEADDR, 1);
        ASSERT_EQ(set(SOL_TCP, TCP_REPAIR, TCP_REPAIR_ON), 0) << std::strerror(errno);
        set(SOL_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
        ASSERT_EQ(set(SOL_TCP, TCP_QUEUE_SEQ, 0x12345678), 0) << std::strerror(errno);
        set(SOL_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
        ASSERT_EQ(set(SOL_TCP, TCP_QUEUE_SEQ, 0x6abcdef0), 0) << std::strerror(errno);
        const sockaddr_in local = address_of(connection.guest, connection.guest_port);
        const sockaddr_in remote = address_of(connection.client, connection.client_port);
        ASSERT_EQ(bind(fd.get(), generic(local), sizeof local), 0) << std::strerror(errno);
        ASSERT_EQ(connect(fd.get(), generic(remote), sizeof remote), 0) << std::strerror(errno);
        // Without the window probe that TCP_REPAIR_OFF would send.
        ASSERT_EQ(set(SOL_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP), 0) << std::strerror(errno);
        const timeval limit{5, 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    });
    return fd;
}

void FailoverNetwork::move_backup() {
    const auto moved = move_to_bridge("vif2.0", "br-real", kGuestMac);
    ASSERT_TRUE(moved) << moved.error().message;
    auto announcer = Announcer::open("br-real", kGuestMac, {kGuest}, {});
    ASSERT_TRUE(announcer) << announcer.error().message;
    announcer->step(std::chrono::steady_clock::now());
}

TcpConnection connection_of_client_socket(int fd) {
    sockaddr_in local{}, remote{};
    socklen_t length = sizeof local;
    getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length);
    getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &length);
    return {Ipv4Address{ntohl(remote.sin_addr.s_addr)}, Ipv4Address{ntohl(local.sin_addr.s_addr)},
            ntohs(remote.sin_port), ntohs(local.sin_port)};
}

int read_error(int fd) {
    char byte = 0;
    return read(fd, &byte, 1) < 0 ? errno : 0;
}

void expect_alive(int from, int to) {
    char byte = 'x';
    ASSERT_EQ(write(from, &byte, 1), 1) << std::strerror(errno);
    byte = 0;
    ASSERT_EQ(read(to, &byte, 1), 1) << std::strerror(errno);
    EXPECT_EQ(byte, 'x');
}

} // namespace tripod::net::test
