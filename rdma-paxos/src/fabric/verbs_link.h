// SPDX-License-Identifier: Apache-2.0
//
// One end of one link: a reliable-connected queue pair, its states, and the works on it.
#pragma once

#include "fabric/verbs_device.h"

namespace rdma_paxos {

/// What travels in an Endpoint.
struct VerbsAddress {
    std::uint32_t queue_pair = 0;
    std::uint32_t first_packet = 0; ///< PSN, random in each generation
    std::array<std::uint8_t, 16> gid{};
    std::uint64_t memory = 0; ///< of the region behind this link
    std::uint64_t memory_bytes = 0;
    std::uint32_t key = 0; ///< rkey
    std::uint16_t lid = 0;
    std::uint8_t mtu = 0;
    std::uint8_t reserved = 0;
};
static_assert(sizeof(VerbsAddress) <= Endpoint::capacity);

class VerbsLink {
  public:
    static constexpr std::uint32_t queue_depth = 128; ///< works that may be outstanding

    /// All given outlive the link. None: no queue pair could be made; errno says why.
    static std::unique_ptr<VerbsLink> make(OpenedDevice& device, ibv_pd* domain, ibv_cq* queue, ReplicaId peer,
                                           Link link);

    /// Enters a new generation, unique among all links of this completion queue. False: not yet. A pair that has
    /// refused too often is replaced by a new one; `replaced` is then counted up.
    bool reset(std::uint32_t generation, std::uint32_t first_packet, std::uint64_t& replaced);
    bool connect(const VerbsAddress& remote);

    /// See Fabric::post_write() for `more`. `doorbell` is set if the device was told.
    bool post(ibv_wr_opcode opcode, std::uint64_t remote_offset, std::byte* local, std::size_t bytes,
              std::uint32_t local_key, WorkId id, bool more, bool& doorbell);

    /// Whether a completion with this wr_id is one of the present generation, and the first failure at most.
    bool expects(std::uint64_t wr_id) const { return static_cast<std::uint32_t>(wr_id) == generation_ && !failed_; }
    Completion complete(bool ok);
    static ReplicaId peer_of(std::uint64_t wr_id) { return ReplicaId(static_cast<std::uint8_t>(wr_id >> 32)); }

    /// The address that it is connected from, or to, has gone. False: it was not connected, or had failed before.
    bool lose();

    std::uint32_t pair_number() const { return pair_ ? pair_->qp_num : 0; }
    std::uint32_t first_packet() const { return first_packet_; }

  private:
    struct Posted {
        WorkId id = 0;
        std::uint32_t pieces = 0;
    };

    VerbsLink(OpenedDevice& device, ibv_pd* domain, ibv_cq* queue, ReplicaId peer, Link link)
        : device_(device), domain_(domain), queue_(queue), peer_(peer), link_(link) {}
    bool create_pair();
    bool modify(ibv_qp_attr& attributes, int mask) {
        return device_.calls().modify_qp(pair_.get(), &attributes, mask) == 0;
    }
    bool to_reset();
    bool to_init();
    bool to_ready();

    OpenedDevice& device_;
    ibv_pd* domain_;
    ibv_cq* queue_;
    ReplicaId peer_;
    Link link_;
    Owned<ibv_qp> pair_;
    std::uint32_t inline_limit_ = 0;
    std::uint32_t generation_ = 0; ///< 0: never reset
    std::uint32_t first_packet_ = 0;
    std::uint32_t refusals_ = 0; ///< in a row
    bool ready_ = false;
    bool failed_ = false;
    VerbsAddress remote_;
    std::array<Posted, queue_depth> posted_{}; ///< signalled works on their way, a ring
    std::uint32_t begun_ = 0;
    std::uint32_t finished_ = 0;
    std::uint32_t outstanding_ = 0; ///< pieces
    std::array<ibv_send_wr, 2> chain_{};
    std::array<ibv_sge, 2> pieces_{};
    std::uint32_t held_ = 0; ///< pieces that wait for the last one
};

} // namespace rdma_paxos
