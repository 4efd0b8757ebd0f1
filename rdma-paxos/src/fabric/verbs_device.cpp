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
    VerbsContext context;
    std::string known;
    for (int i = 0; i < count; ++i) {
        known += fmt::format(" {}", ibv_get_device_name(list[i]));
        if (config.device == ibv_get_device_name(list[i]))
            context.reset(ibv_open_device(list[i]));
    }
    ibv_free_device_list(list);
    if (!context)
        return tl::make_unexpected(Error{fmt::format("RDMA device \"{}\" cannot be opened (there are:{})",
                                                     config.device, known.empty() ? " none" : known)});
    auto device = std::make_shared<OpenedDevice>(std::move(context), config);
    if (auto found = device->find_address(); !found)
        return tl::make_unexpected(found.error());
    return device;
}

tl::expected<void, Error> OpenedDevice::find_address() {
    const auto failed = [&](std::string why) {
        return tl::make_unexpected(
            Error{fmt::format("RDMA device {} port {}: {}", config_.device, config_.port, std::move(why))});
    };
    fcntl(context_->async_fd, F_SETFL, fcntl(context_->async_fd, F_GETFL) | O_NONBLOCK);
    if (ibv_query_port(context_.get(), config_.port, &port_) != 0)
        return failed("no such port");
    if (port_.state != IBV_PORT_ACTIVE)
        return failed("the port is not active (is its network interface up?)");
    ibv_device_attr limits{};
    if (ibv_query_device(context_.get(), &limits) == 0)
        max_reads_ = static_cast<std::uint8_t>(
            std::clamp(std::min(limits.max_qp_rd_atom, limits.max_qp_init_rd_atom), 1, 8));

    if (config_.gid_index) {
        gid_index_ = *config_.gid_index;
        if (ibv_query_gid(context_.get(), config_.port, gid_index_, &gid_) != 0)
            return failed(fmt::format("no GID with index {}", gid_index_));
        return {};
    }
    for (int index = 0; index < port_.gid_tbl_len; ++index) {
        ibv_gid_entry entry{};
        if (ibv_query_gid_ex(context_.get(), config_.port, static_cast<std::uint32_t>(index), &entry, 0) != 0 ||
            entry.gid_type != IBV_GID_TYPE_ROCE_V2)
            continue;
        const bool better = gid_index_ < 0 || (is_v4_mapped(entry.gid) && !is_v4_mapped(gid_));
        if (better) {
            gid_index_ = index;
            gid_ = entry.gid;
        }
    }
    if (gid_index_ < 0)
        return failed("no RoCE v2 address (GID); give the interface an IP address, or name a GID index");
    return {};
}

std::string OpenedDevice::description() const {
    return fmt::format("{} port {} gid {} ({})", config_.device, config_.port, gid_index_, to_text(gid_));
}

void OpenedDevice::drain_events() {
    ibv_async_event event;
    while (ibv_get_async_event(context_.get(), &event) == 0)
        ibv_ack_async_event(&event);
}

} // namespace rdma_paxos
