// SPDX-License-Identifier: Apache-2.0
#include "net/links.h"

#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/neighbour.h>
#include <netlink/socket.h>

namespace tripod::net {
namespace {

struct FreeLink {
    void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};
using Link = std::unique_ptr<rtnl_link, FreeLink>;

tl::unexpected<Error> failed(std::string_view what, int status) {
    return fail(ErrorCode::other, fmt::format("{}: {}", what, nl_geterror(status)),
                -status == NLE_PERM ? "run the daemon as root" : "");
}

class Netlink {
  public:
    static Result<Netlink> open() {
        Netlink result;
        if (!result.socket_)
            return fail(ErrorCode::other, "out of memory");
        const int status = nl_connect(result.socket_.get(), NETLINK_ROUTE);
        if (status != 0)
            return failed("cannot connect to rtnetlink", status);
        return result;
    }

    nl_sock* get() { return socket_.get(); }

    /** Null when there is no such device. */
    Result<Link> find(const std::string& name) {
        if (name.empty() || name.size() >= IFNAMSIZ)
            return fail(ErrorCode::other, fmt::format("\"{}\" is no name of a network device", name),
                        "use 1 to 15 characters");
        rtnl_link* link = nullptr;
        const int status = rtnl_link_get_kernel(socket_.get(), 0, name.c_str(), &link);
        if (-status == NLE_OBJ_NOTFOUND || -status == NLE_NODEV)
            return Link{};
        if (status != 0)
            return failed(fmt::format("cannot look up network device {}", name), status);
        return Link{link};
    }

    Result<Link> find_bridge(const std::string& name) {
        auto link = find(name);
        if (!link)
            return link;
        if (!*link)
            return fail(ErrorCode::other, fmt::format("no bridge {} on this host", name),
                        "name an existing bridge; `ip link show type bridge` lists them");
        const char* type = rtnl_link_get_type(link->get());
        if (type == nullptr || std::string_view(type) != "bridge")
            return fail(ErrorCode::other, fmt::format("network device {} is no Linux bridge", name),
                        "name another bridge");
        return link;
    }

    Result<void> set_up(rtnl_link* link, const std::string& name) {
        if ((rtnl_link_get_flags(link) & IFF_UP) != 0)
            return {};
        const Link change{rtnl_link_alloc()};
        rtnl_link_set_flags(change.get(), IFF_UP);
        const int status = rtnl_link_change(socket_.get(), link, change.get(), 0);
        if (status != 0)
            return failed(fmt::format("cannot set {} up", name), status);
        return {};
    }

    /** Replaces what the bridge above port `index` knows of `mac`; the entry ages like a learned one. */
    Result<void> teach_bridge(int index, const std::string& port, MacAddress mac) {
        const std::unique_ptr<rtnl_neigh, void (*)(rtnl_neigh*)> entry(rtnl_neigh_alloc(), rtnl_neigh_put);
        const std::unique_ptr<nl_addr, void (*)(nl_addr*)> address(
            nl_addr_build(AF_LLC, mac.bytes.data(), mac.bytes.size()), nl_addr_put);
        rtnl_neigh_set_family(entry.get(), AF_BRIDGE);
        rtnl_neigh_set_ifindex(entry.get(), index);
        rtnl_neigh_set_lladdr(entry.get(), address.get());
        rtnl_neigh_set_flags(entry.get(), NTF_MASTER);
        rtnl_neigh_set_state(entry.get(), NUD_REACHABLE);
        const int status = rtnl_neigh_add(socket_.get(), entry.get(), NLM_F_CREATE | NLM_F_REPLACE);
        if (status != 0)
            return failed(fmt::format("cannot tell the bridge that {} is behind {}", mac.text(), port), status);
        return {};
    }

  private:
    Netlink() : socket_(nl_socket_alloc(), nl_socket_free) {}

    std::unique_ptr<nl_sock, void (*)(nl_sock*)> socket_;
};

} // namespace

Result<void> ensure_bridge(const std::string& name) {
    auto netlink = Netlink::open();
    if (!netlink)
        return tl::unexpected(netlink.error());
    auto link = netlink->find(name);
    if (!link)
        return tl::unexpected(link.error());
    if (!*link) {
        const int status = rtnl_link_bridge_add(netlink->get(), name.c_str());
        if (status != 0 && -status != NLE_EXIST)
            return failed(fmt::format("cannot create bridge {}", name), status);
        link = netlink->find_bridge(name);
        if (!link)
            return tl::unexpected(link.error());
        // While it is down, so that dom0 never gets the link-local address by which a guest could reach it. A
        // kernel without IPv6 refuses, and needs nothing.
        const Link change{rtnl_link_alloc()};
        rtnl_link_inet6_set_addr_gen_mode(change.get(), IN6_ADDR_GEN_MODE_NONE);
        (void)rtnl_link_change(netlink->get(), link->get(), change.get(), 0);
    } else {
        link = netlink->find_bridge(name);
        if (!link)
            return tl::unexpected(link.error());
    }
    return netlink->set_up(link->get(), name);
}

Result<void> check_bridge(const std::string& name) {
    auto netlink = Netlink::open();
    if (!netlink)
        return tl::unexpected(netlink.error());
    if (auto found = netlink->find_bridge(name); !found)
        return tl::unexpected(found.error());
    return {};
}

Result<void> move_to_bridge(const std::string& interface, const std::string& bridge,
                            std::optional<MacAddress> guest) {
    auto netlink = Netlink::open();
    if (!netlink)
        return tl::unexpected(netlink.error());
    const auto master = netlink->find_bridge(bridge);
    if (!master)
        return tl::unexpected(master.error());
    const auto port = netlink->find(interface);
    if (!port)
        return tl::unexpected(port.error());
    if (!*port)
        return fail(ErrorCode::other, fmt::format("no network interface {} on this host", interface),
                    "check that the VM's network back end is connected: xl network-list");
    const int index = rtnl_link_get_ifindex(master->get());
    if (rtnl_link_get_master(port->get()) != index) {
        const int status = rtnl_link_enslave_ifindex(netlink->get(), index, rtnl_link_get_ifindex(port->get()));
        if (status != 0)
            return failed(fmt::format("cannot move {} to bridge {}", interface, bridge), status);
    }
    if (auto up = netlink->set_up(port->get(), interface); !up)
        return up;
    if (!guest)
        return {};
    return netlink->teach_bridge(rtnl_link_get_ifindex(port->get()), interface, *guest);
}

Result<std::string> bridge_of(const std::string& interface) {
    auto netlink = Netlink::open();
    if (!netlink)
        return tl::unexpected(netlink.error());
    const auto port = netlink->find(interface);
    if (!port)
        return tl::unexpected(port.error());
    if (!*port)
        return fail(ErrorCode::other, fmt::format("no network interface {} on this host", interface));
    const int master = rtnl_link_get_master(port->get());
    if (master == 0)
        return std::string{};
    char name[IF_NAMESIZE];
    return std::string(if_indextoname(static_cast<unsigned>(master), name) != nullptr ? name : "");
}

} // namespace tripod::net
