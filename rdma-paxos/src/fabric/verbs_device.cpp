// SPDX-License-Identifier: Apache-2.0
#include "fabric/verbs_device.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>

namespace rdma_paxos {

namespace {

std::string to_text(const ibv_gid& gid) {
    char text[INET6_ADDRSTRLEN] = "?";
    inet_ntop(AF_INET6, gid.raw, text, sizeof text);
    return text;
}

bool is_v4_mapped(const ibv_gid& gid) {
    static constexpr std::uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(gid.raw, prefix, sizeof prefix) == 0;
}

} // namespace

tl::expected<std::shared_ptr<VerbsDevice>, Error> VerbsDevice::open(const VerbsConfig& config) {
    int count = 0;
    ibv_device** list = ibv_get_device_list(&count);
    if (!list)
        return tl::make_unexpected(Error{fmt::format("RDMA devices cannot be listed: {}", std::strerror(errno))});
    ibv_context* context = nullptr;
    std::string known;
    for (int i = 0; i < count; ++i) {
        known += fmt::format(" {}", ibv_get_device_name(list[i]));
        if (!context && config.device == ibv_get_device_name(list[i]))
            context = ibv_open_device(list[i]);
    }
    ibv_free_device_list(list);
    if (!context)
        return tl::make_unexpected(Error{fmt::format("RDMA device \"{}\" cannot be opened (there are:{})",
                                                     config.device, known.empty() ? " none" : known)});
    auto device = std::make_shared<OpenedDevice>(VerbsCalls::real(), context, config);
    const int flags = fcntl(context->async_fd, F_GETFL);
    fcntl(context->async_fd, F_SETFL, flags | O_NONBLOCK);
    if (auto found = device->find_address(); !found)
        return tl::make_unexpected(found.error());
    return device;
}

tl::expected<void, Error> OpenedDevice::find_address() {
    const auto failed = [&](std::string why) {
        return tl::make_unexpected(
            Error{fmt::format("RDMA device {} port {}: {}", config_.device, config_.port, std::move(why))});
    };
    if (calls_.query_port(context_.get(), config_.port, &port_) != 0)
        return failed("no such port");
    if (port_.state != IBV_PORT_ACTIVE)
        return failed("the port is not active (is its network interface up?)");
    ibv_device_attr limits{};
    if (calls_.query_device(context_.get(), &limits) == 0) {
        max_reads_ = static_cast<std::uint8_t>(
            std::clamp(std::min(limits.max_qp_rd_atom, limits.max_qp_init_rd_atom), 1, 8));
        max_completions_ = limits.max_cqe;
    }

    gid_index_ = -1;
    const int first = config_.gid_index.value_or(0);
    const int last = config_.gid_index.value_or(port_.gid_tbl_len - 1);
    for (int index = first; index <= last; ++index) {
        ibv_gid_entry entry{};
        if (calls_.query_gid(context_.get(), config_.port, index, &entry) != 0 ||
            (!config_.gid_index && entry.gid_type != IBV_GID_TYPE_ROCE_V2))
            continue;
        const bool better = gid_index_ < 0 || (is_v4_mapped(entry.gid) && !is_v4_mapped(gid_));
        if (better) {
            gid_index_ = index;
            gid_ = entry.gid;
        }
    }
    if (gid_index_ < 0)
        return failed(config_.gid_index
                          ? fmt::format("no GID with index {}", *config_.gid_index)
                          : "no RoCE v2 address (GID); give the interface an IP address, or name a GID index");
    return {};
}

std::string OpenedDevice::description() const {
    return fmt::format("{} port {} gid {} ({})", config_.device, config_.port, gid_index_, to_text(gid_));
}

// What the events say is only "look": several may have been merged, or may tell of what is over already.
void OpenedDevice::take_events() {
    bool look = false;
    for (ibv_async_event event; !lost_ && calls_.get_async_event(context_.get(), &event) == 0;) {
        switch (event.event_type) {
        case IBV_EVENT_DEVICE_FATAL:
            lost_ = true;
            ++epoch_;
            failure_ = Error{fmt::format("RDMA device {}: the device is lost", config_.device)};
            break;
        case IBV_EVENT_GID_CHANGE:
        case IBV_EVENT_PORT_ERR:
        case IBV_EVENT_PORT_ACTIVE:
        case IBV_EVENT_LID_CHANGE:
            look = true;
            break;
        default:
            break;
        }
    }
    if (look && !lost_)
        look_again();
}

void OpenedDevice::look_again() {
    const ibv_gid old_gid = gid_;
    const int old_index = gid_index_;
    const std::uint16_t old_lid = port_.lid;
    const bool worked = !failure_;
    if (const auto found = find_address(); found)
        failure_.reset();
    else
        failure_ = found.error();
    const bool same =
        old_index == gid_index_ && old_lid == port_.lid && std::memcmp(&old_gid, &gid_, sizeof gid_) == 0;
    if (worked && (failure_ || !same))
        ++epoch_;
}

} // namespace rdma_paxos
