// SPDX-License-Identifier: Apache-2.0
//
// An opened RDMA device: context, port, address, and what became of them since. And the owners of what libibverbs
// hands out.
#pragma once

#include "fabric/verbs_calls.h"
#include "rdma_paxos/verbs_fabric.h"

#include <memory>

namespace rdma_paxos {

struct VerbsDeleter {
    VerbsCalls* calls = nullptr;
    template <class T>
    void operator()(T* object) const {
        calls->destroy(object);
    }
};
template <class T>
using Owned = std::unique_ptr<T, VerbsDeleter>;

class OpenedDevice final : public VerbsDevice {
  public:
    OpenedDevice(VerbsCalls& calls, ibv_context* context, const VerbsConfig& config)
        : calls_(calls), context_(context, VerbsDeleter{&calls}), config_(config) {}

    std::string description() const override;

    /// Learns the port's state and the address to use. Fails if there is none, or the port is down.
    tl::expected<void, Error> find_address();

    VerbsCalls& calls() const { return calls_; }
    ibv_context* context() const { return context_.get(); }
    const VerbsConfig& config() const { return config_; }
    const ibv_gid& gid() const { return gid_; }
    int gid_index() const { return gid_index_; }
    ibv_mtu mtu() const { return port_.active_mtu; }
    std::uint16_t lid() const { return port_.lid; }
    std::uint8_t max_reads() const { return max_reads_; }
    int max_completions() const { return max_completions_; }

    /// Takes asynchronous events off the device's queue and acts on them. A system call. Events of single queue
    /// pairs mean nothing here: a broken one shows itself by failing work.
    void take_events();

    /// Grows whenever connections made before are worth nothing any more.
    std::uint64_t epoch() const { return epoch_; }

    /// None: it works, as far as is known.
    const std::optional<Error>& failure() const { return failure_; }

    /// For good.
    bool lost() const { return lost_; }

  private:
    void look_again();

    VerbsCalls& calls_;
    Owned<ibv_context> context_;
    VerbsConfig config_;
    ibv_port_attr port_{};
    ibv_gid gid_{};
    int gid_index_ = -1;
    std::uint8_t max_reads_ = 1;
    int max_completions_ = 0;
    std::uint64_t epoch_ = 0;
    bool lost_ = false;
    std::optional<Error> failure_;
};

} // namespace rdma_paxos
