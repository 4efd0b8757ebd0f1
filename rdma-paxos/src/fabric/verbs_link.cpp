// SPDX-License-Identifier: Apache-2.0
#include "fabric/verbs_link.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos {

namespace {

/// So many refusals in a row, by RESET or INIT, and the queue pair is given up.
constexpr std::uint32_t refusals_max = 3;
/// A late worker of the driver may move a reset pair to ERR; then INIT is refused, and another RESET helps.
constexpr int init_attempts = 5;

} // namespace

std::unique_ptr<VerbsLink> VerbsLink::make(OpenedDevice& device, ibv_pd* domain, ibv_cq* queue, ReplicaId peer,
                                           Link link) {
    std::unique_ptr<VerbsLink> made(new VerbsLink(device, domain, queue, peer, link));
    return made->create_pair() ? std::move(made) : nullptr;
}

bool VerbsLink::create_pair() {
    for (const std::uint32_t inline_limit : {512u, 320u, 128u, 64u, 0u}) {
        ibv_qp_init_attr attributes{};
        attributes.send_cq = attributes.recv_cq = queue_;
        attributes.qp_type = IBV_QPT_RC;
        attributes.cap = {.max_send_wr = queue_depth,
                          .max_recv_wr = 1,
                          .max_send_sge = 1,
                          .max_recv_sge = 1,
                          .max_inline_data = inline_limit};
        pair_ = Owned<ibv_qp>(device_.calls().create_qp(domain_, &attributes), VerbsDeleter{&device_.calls()});
        if (pair_) {
            inline_limit_ = std::min(attributes.cap.max_inline_data, 512u);
            return true;
        }
    }
    return false;
}

bool VerbsLink::to_reset() {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RESET;
    return modify(attributes, IBV_QP_STATE);
}

// RESET is the one change of state after which no byte of a write in progress lands any more. See "Fence" in
// docs/consensus.md. Destroying the pair is another way to that end.
bool VerbsLink::reset(std::uint32_t generation, std::uint32_t first_packet, std::uint64_t& replaced) {
    ready_ = false;
    if (!pair_ || refusals_ >= refusals_max) {
        pair_.reset();
        if (!create_pair())
            return false;
        refusals_ = 0;
        ++replaced;
    }
    if (!to_reset()) {
        ++refusals_;
        return false;
    }
    generation_ = generation;
    first_packet_ = first_packet;
    failed_ = false;
    begun_ = finished_ = outstanding_ = held_ = 0;
    return true;
}

bool VerbsLink::to_init() {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_INIT;
    attributes.port_num = device_.config().port;
    attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | (link_ == Link::log ? IBV_ACCESS_REMOTE_READ : 0);
    return modify(attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

bool VerbsLink::to_ready() {
    const VerbsConfig& config = device_.config();
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTR;
    attributes.path_mtu = std::min(device_.mtu(), static_cast<ibv_mtu>(remote_.mtu));
    attributes.dest_qp_num = remote_.queue_pair;
    attributes.rq_psn = remote_.first_packet;
    attributes.max_dest_rd_atomic = device_.max_reads();
    attributes.min_rnr_timer = 12;
    attributes.ah_attr.is_global = 1;
    attributes.ah_attr.dlid = remote_.lid;
    attributes.ah_attr.port_num = config.port;
    attributes.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(device_.gid_index());
    attributes.ah_attr.grh.hop_limit = 64;
    std::memcpy(attributes.ah_attr.grh.dgid.raw, remote_.gid.data(), remote_.gid.size());
    if (!modify(attributes, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                                IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
        return false;
    attributes.qp_state = IBV_QPS_RTS;
    attributes.timeout = config.ack_timeout;
    attributes.retry_cnt = config.retry_count;
    attributes.rnr_retry = 7;
    attributes.sq_psn = first_packet_;
    attributes.max_rd_atomic = device_.max_reads();
    return modify(attributes, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                                  IBV_QP_MAX_QP_RD_ATOMIC);
}

bool VerbsLink::connect(const VerbsAddress& remote) {
    if (!pair_ || ready_ || generation_ == 0)
        return false;
    remote_ = remote;
    for (int attempt = 0; !to_init(); ++attempt)
        if (attempt == init_attempts || !to_reset()) {
            ++refusals_;
            return false;
        }
    refusals_ = 0;
    ready_ = to_ready(); // if not: the peer's host may be unreachable, which is not the pair's fault
    return ready_;
}

bool VerbsLink::post(ibv_wr_opcode opcode, std::uint64_t remote_offset, std::byte* local, std::size_t bytes,
                     std::uint32_t local_key, WorkId id, bool more, bool& doorbell) {
    doorbell = false;
    if (!ready_ || failed_ || outstanding_ + held_ >= queue_depth || held_ + more == chain_.size() ||
        remote_offset > remote_.memory_bytes || bytes > remote_.memory_bytes - remote_offset)
        return false;
    ibv_sge& piece = pieces_[held_];
    piece.addr = reinterpret_cast<std::uintptr_t>(local);
    piece.length = static_cast<std::uint32_t>(bytes);
    piece.lkey = local_key;
    ibv_send_wr& work = chain_[held_];
    work.wr_id = (std::uint64_t{peer_.value()} << 32) | generation_;
    work.next = nullptr;
    work.sg_list = &piece;
    work.num_sge = 1;
    work.opcode = opcode;
    work.send_flags = more ? 0u : unsigned{IBV_SEND_SIGNALED};
    if (opcode == IBV_WR_RDMA_WRITE && bytes <= inline_limit_)
        work.send_flags |= IBV_SEND_INLINE;
    work.wr.rdma.remote_addr = remote_.memory + remote_offset;
    work.wr.rdma.rkey = remote_.key;
    if (more) {
        ++held_;
        return true;
    }
    const std::uint32_t count = held_ + 1;
    held_ = 0;
    if (count == 2)
        chain_[0].next = &chain_[1];
    ibv_send_wr* bad = nullptr;
    if (ibv_post_send(pair_.get(), chain_.data(), &bad) != 0) {
        failed_ = true; // some of it may be on its way; the caller resets
        return false;
    }
    posted_[begun_++ % queue_depth] = {id, count};
    outstanding_ += count;
    doorbell = true;
    return true;
}

Completion VerbsLink::complete(bool ok) {
    const Posted& work = posted_[finished_++ % queue_depth];
    outstanding_ -= work.pieces;
    failed_ = !ok;
    return {work.id, peer_, link_, ok};
}

bool VerbsLink::lose() {
    if (!ready_ || failed_)
        return false;
    failed_ = true;
    return true;
}

} // namespace rdma_paxos
