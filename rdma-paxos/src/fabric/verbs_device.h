// SPDX-License-Identifier: Apache-2.0
//
// An opened RDMA device: context, port, address. And the owners of what libibverbs hands out.
#pragma once

#include "rdma_paxos/verbs_fabric.h"

#include <infiniband/verbs.h>
#include <memory>

namespace rdma_paxos {

template <class T, int (*Destroy)(T*)>
struct VerbsDeleter {
    void operator()(T* object) const { Destroy(object); }
};
using VerbsContext = std::unique_ptr<ibv_context, VerbsDeleter<ibv_context, ibv_close_device>>;
using VerbsDomain = std::unique_ptr<ibv_pd, VerbsDeleter<ibv_pd, ibv_dealloc_pd>>;
using VerbsMemory = std::unique_ptr<ibv_mr, VerbsDeleter<ibv_mr, ibv_dereg_mr>>;
using VerbsChannel = std::unique_ptr<ibv_comp_channel, VerbsDeleter<ibv_comp_channel, ibv_destroy_comp_channel>>;
using VerbsQueue = std::unique_ptr<ibv_cq, VerbsDeleter<ibv_cq, ibv_destroy_cq>>;
using VerbsPair = std::unique_ptr<ibv_qp, VerbsDeleter<ibv_qp, ibv_destroy_qp>>;

class OpenedDevice final : public VerbsDevice {
  public:
    OpenedDevice(VerbsContext context, const VerbsConfig& config) : context_(std::move(context)), config_(config) {}

    std::string description() const override;
    tl::expected<void, Error> find_address();

    ibv_context* context() const { return context_.get(); }
    const VerbsConfig& config() const { return config_; }
    const ibv_gid& gid() const { return gid_; }
    int gid_index() const { return gid_index_; }
    ibv_mtu mtu() const { return port_.active_mtu; }
    std::uint16_t lid() const { return port_.lid; }
    std::uint8_t max_reads() const { return max_reads_; }

    /// Takes asynchronous events off the device's queue. They are not acted upon: a broken queue pair shows itself
    /// by failing work.
    void drain_events();

  private:
    VerbsContext context_;
    VerbsConfig config_;
    ibv_port_attr port_{};
    ibv_gid gid_{};
    int gid_index_ = -1;
    std::uint8_t max_reads_ = 1;
};

} // namespace rdma_paxos
