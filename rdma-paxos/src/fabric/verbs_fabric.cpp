// SPDX-License-Identifier: Apache-2.0
//
// The fabric over reliable-connected queue pairs. See docs/consensus.md, "Fabric verbs".
#include "rdma_paxos/verbs_fabric.h"

#include "fabric/verbs_device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <random>
#include <sys/mman.h>

namespace rdma_paxos {

namespace {

constexpr std::uint32_t send_queue_depth = 128;

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

/// Pages that stay where they are: present before the first write comes, never swapped, not shared with children.
class LockedPages {
  public:
    static tl::expected<LockedPages, Error> make(std::size_t bytes) {
        bytes = (bytes + 4095) & ~std::size_t{4095};
        void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (at == MAP_FAILED)
            return tl::make_unexpected(Error{fmt::format("{} bytes of memory: {}", bytes, std::strerror(errno))});
        LockedPages pages(static_cast<std::byte*>(at), bytes);
        if (mlock(at, bytes) != 0)
            return tl::make_unexpected(Error{
                fmt::format("locking {} bytes of memory: {} (see `ulimit -l`)", bytes, std::strerror(errno))});
        madvise(at, bytes, MADV_DONTFORK);
        return pages;
    }
    LockedPages(LockedPages&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    LockedPages& operator=(LockedPages&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    LockedPages() = default;
    ~LockedPages() {
        if (base_)
            munmap(base_, bytes_);
    }
    std::span<std::byte> span() const { return {base_, bytes_}; }

  private:
    LockedPages(std::byte* base, std::size_t bytes) : base_(base), bytes_(bytes) {}
    std::byte* base_ = nullptr;
    std::size_t bytes_ = 0;
};

class VerbsFabric final : public Fabric {
  public:
    explicit VerbsFabric(std::shared_ptr<OpenedDevice> device) : device_(std::move(device)) {}

    tl::expected<void, Error> set_up(ReplicaId self, const std::vector<ReplicaId>& members,
                                     const MemoryLayout& layout);

    std::span<std::byte> region(Region region) override { return pages_[static_cast<std::size_t>(region)].span(); }
    bool reset(ReplicaId peer, Link link) override;
    Endpoint endpoint(ReplicaId peer, Link link) override;
    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override;
    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id) override {
        return post(IBV_WR_RDMA_WRITE, peer, link, remote_offset, const_cast<std::byte*>(local.data()),
                    local.size(), id);
    }
    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override {
        return post(IBV_WR_RDMA_READ, peer, link, remote_offset, local.data(), local.size(), id);
    }
    std::size_t poll(Link link, std::span<Completion> out) override;
    std::vector<int> event_fds() const override {
        return {sides_[static_cast<std::size_t>(Link::log)].channel->fd};
    }
    void arm() override;
    FabricStats stats() const override { return stats_; }

  private:
    /// All that belongs to one kind of link. A domain of its own: whoever holds the board link cannot reach the
    /// log, even if he guesses its key.
    struct Side {
        VerbsDomain domain;
        VerbsMemory target; ///< what peers may reach through this kind of link
        VerbsMemory source; ///< further memory that may be sent from
        VerbsChannel channel;
        VerbsQueue queue;
    };
    struct Pair {
        ReplicaId peer;
        VerbsPair pair;
        std::uint32_t inline_limit = 0;
        std::uint32_t generation =
            0; ///< of resets; part of each work's id, so that late completions are recognised
        std::uint32_t first_packet = 0;
        bool ready = false;
        bool failed = false;
        VerbsAddress remote;
        std::array<WorkId, send_queue_depth> works{}; ///< ids on their way, a ring
        std::uint32_t posted = 0;
        std::uint32_t finished = 0;
    };

    Pair* find(ReplicaId peer, Link link);
    Side& side(Link link) { return sides_[static_cast<std::size_t>(link)]; }
    tl::expected<Pair, Error> make_pair(ReplicaId peer, Link link);
    bool post(ibv_wr_opcode opcode, ReplicaId peer, Link link, std::uint64_t remote_offset, std::byte* local,
              std::size_t bytes, WorkId id);
    bool to_init(Pair& pair, Link link);
    bool to_ready(Pair& pair);

    std::shared_ptr<OpenedDevice> device_;
    std::array<LockedPages, region_count> pages_;
    std::array<Side, link_count> sides_;
    std::array<std::vector<Pair>, link_count> pairs_;
    std::mt19937 random_{std::random_device{}()};
    FabricStats stats_;
    bool armed_ = false;
};

tl::expected<void, Error> VerbsFabric::set_up(ReplicaId self, const std::vector<ReplicaId>& members,
                                              const MemoryLayout& layout) {
    const auto failed = [&](const char* what) {
        return tl::make_unexpected(
            Error{fmt::format("RDMA device {}: {}: {}", device_->config().device, what, std::strerror(errno))});
    };
    const std::array<std::size_t, region_count> sizes{layout.board_bytes, layout.log_bytes, layout.outbox_bytes};
    for (std::size_t i = 0; i < region_count; ++i) {
        auto pages = LockedPages::make(sizes[i]);
        if (!pages)
            return tl::make_unexpected(pages.error());
        pages_[i] = std::move(*pages);
    }
    for (const Link link : {Link::board, Link::log}) {
        Side& own = side(link);
        own.domain.reset(ibv_alloc_pd(device_->context()));
        if (!own.domain)
            return failed("protection domain");
        const auto target = pages_[static_cast<std::size_t>(link)].span();
        own.target.reset(ibv_reg_mr(own.domain.get(), target.data(), target.size(),
                                    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ));
        if (!own.target)
            return failed("register memory");
        const auto outbox = pages_[static_cast<std::size_t>(Region::outbox)].span();
        own.source.reset(ibv_reg_mr(own.domain.get(), outbox.data(), outbox.size(), IBV_ACCESS_LOCAL_WRITE));
        if (!own.source)
            return failed("register memory");
        own.channel.reset(ibv_create_comp_channel(device_->context()));
        if (!own.channel)
            return failed("completion channel");
        fcntl(own.channel->fd, F_SETFL, fcntl(own.channel->fd, F_GETFL) | O_NONBLOCK);
        const int entries = static_cast<int>(send_queue_depth * members.size());
        own.queue.reset(ibv_create_cq(device_->context(), entries, nullptr, own.channel.get(), 0));
        if (!own.queue)
            return failed("completion queue");
        for (const ReplicaId id : members) {
            if (id == self)
                continue;
            auto pair = make_pair(id, link);
            if (!pair)
                return tl::make_unexpected(pair.error());
            pairs_[static_cast<std::size_t>(link)].push_back(std::move(*pair));
        }
    }
    return {};
}

tl::expected<VerbsFabric::Pair, Error> VerbsFabric::make_pair(ReplicaId peer, Link link) {
    Pair made;
    made.peer = peer;
    for (const std::uint32_t inline_limit : {512u, 320u, 128u, 64u, 0u}) {
        ibv_qp_init_attr attributes{};
        attributes.send_cq = attributes.recv_cq = side(link).queue.get();
        attributes.qp_type = IBV_QPT_RC;
        attributes.sq_sig_all = 1;
        attributes.cap = {.max_send_wr = send_queue_depth,
                          .max_recv_wr = 1,
                          .max_send_sge = 1,
                          .max_recv_sge = 1,
                          .max_inline_data = inline_limit};
        made.pair.reset(ibv_create_qp(side(link).domain.get(), &attributes));
        if (made.pair) {
            made.inline_limit = std::min(attributes.cap.max_inline_data, 512u);
            return made;
        }
    }
    return tl::make_unexpected(
        Error{fmt::format("RDMA device {}: queue pair: {}", device_->config().device, std::strerror(errno))});
}

VerbsFabric::Pair* VerbsFabric::find(ReplicaId peer, Link link) {
    for (Pair& pair : pairs_[static_cast<std::size_t>(link)])
        if (pair.peer == peer)
            return &pair;
    return nullptr;
}

// RESET is the one change of state after which no byte of a write in progress lands any more. See "Fence" in
// docs/consensus.md.
bool VerbsFabric::reset(ReplicaId peer, Link link) {
    Pair* pair = find(peer, link);
    if (!pair)
        return false;
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RESET;
    if (ibv_modify_qp(pair->pair.get(), &attributes, IBV_QP_STATE) != 0)
        return false;
    ++pair->generation;
    pair->first_packet = static_cast<std::uint32_t>(random_() & 0xffffff);
    pair->ready = pair->failed = false;
    pair->posted = pair->finished = 0;
    ++stats_.resets;
    device_->drain_events();
    return true;
}

Endpoint VerbsFabric::endpoint(ReplicaId peer, Link link) {
    Endpoint endpoint;
    const Pair* pair = find(peer, link);
    if (!pair)
        return endpoint;
    const ibv_mr* target = side(link).target.get();
    VerbsAddress address;
    address.queue_pair = pair->pair->qp_num;
    address.first_packet = pair->first_packet;
    std::memcpy(address.gid.data(), device_->gid().raw, address.gid.size());
    address.memory = reinterpret_cast<std::uintptr_t>(target->addr);
    address.memory_bytes = target->length;
    address.key = target->rkey;
    address.lid = device_->lid();
    address.mtu = static_cast<std::uint8_t>(device_->mtu());
    endpoint.size = sizeof address;
    std::memcpy(endpoint.bytes.data(), &address, sizeof address);
    return endpoint;
}

bool VerbsFabric::to_init(Pair& pair, Link link) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_INIT;
    attributes.port_num = device_->config().port;
    attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | (link == Link::log ? IBV_ACCESS_REMOTE_READ : 0);
    return ibv_modify_qp(pair.pair.get(), &attributes,
                         IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0;
}

bool VerbsFabric::to_ready(Pair& pair) {
    const VerbsConfig& config = device_->config();
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTR;
    attributes.path_mtu = std::min(device_->mtu(), static_cast<ibv_mtu>(pair.remote.mtu));
    attributes.dest_qp_num = pair.remote.queue_pair;
    attributes.rq_psn = pair.remote.first_packet;
    attributes.max_dest_rd_atomic = device_->max_reads();
    attributes.min_rnr_timer = 12;
    attributes.ah_attr.is_global = 1;
    attributes.ah_attr.dlid = pair.remote.lid;
    attributes.ah_attr.port_num = config.port;
    attributes.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(device_->gid_index());
    attributes.ah_attr.grh.hop_limit = 64;
    std::memcpy(attributes.ah_attr.grh.dgid.raw, pair.remote.gid.data(), pair.remote.gid.size());
    if (ibv_modify_qp(pair.pair.get(), &attributes,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) != 0)
        return false;
    attributes.qp_state = IBV_QPS_RTS;
    attributes.timeout = config.ack_timeout;
    attributes.retry_cnt = config.retry_count;
    attributes.rnr_retry = 7;
    attributes.sq_psn = pair.first_packet;
    attributes.max_rd_atomic = device_->max_reads();
    return ibv_modify_qp(pair.pair.get(), &attributes,
                         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                             IBV_QP_MAX_QP_RD_ATOMIC) == 0;
}

bool VerbsFabric::connect(ReplicaId peer, Link link, const Endpoint& remote) {
    Pair* pair = find(peer, link);
    if (!pair || pair->ready || pair->generation == 0 || remote.size != sizeof(VerbsAddress))
        return false;
    std::memcpy(&pair->remote, remote.bytes.data(), sizeof(VerbsAddress));
    // A late worker of the driver may have moved the reset pair to ERR; then INIT is refused, and helps another
    // RESET.
    for (int attempt = 0; !to_init(*pair, link); ++attempt) {
        ibv_qp_attr attributes{};
        attributes.qp_state = IBV_QPS_RESET;
        if (attempt == 5 || ibv_modify_qp(pair->pair.get(), &attributes, IBV_QP_STATE) != 0)
            return false;
    }
    if (!to_ready(*pair))
        return false;
    pair->ready = true;
    ++stats_.connects;
    return true;
}

bool VerbsFabric::post(ibv_wr_opcode opcode, ReplicaId peer, Link link, std::uint64_t remote_offset,
                       std::byte* local, std::size_t bytes, WorkId id) {
    Pair* pair = find(peer, link);
    if (!pair || !pair->ready || pair->failed || pair->posted - pair->finished == send_queue_depth ||
        remote_offset > pair->remote.memory_bytes || bytes > pair->remote.memory_bytes - remote_offset)
        return false;
    const auto outbox = pages_[static_cast<std::size_t>(Region::outbox)].span();
    const bool from_outbox = local >= outbox.data() && local < outbox.data() + outbox.size();
    ibv_sge piece{};
    piece.addr = reinterpret_cast<std::uintptr_t>(local);
    piece.length = static_cast<std::uint32_t>(bytes);
    piece.lkey = (from_outbox ? side(link).source : side(link).target)->lkey;
    ibv_send_wr work{};
    const auto slot = static_cast<std::uint64_t>(pair - pairs_[static_cast<std::size_t>(link)].data());
    work.wr_id = (slot << 32) | pair->generation;
    work.sg_list = &piece;
    work.num_sge = 1;
    work.opcode = opcode;
    work.send_flags = IBV_SEND_SIGNALED;
    if (opcode == IBV_WR_RDMA_WRITE && bytes <= pair->inline_limit)
        work.send_flags |= IBV_SEND_INLINE;
    work.wr.rdma.remote_addr = pair->remote.memory + remote_offset;
    work.wr.rdma.rkey = pair->remote.key;
    ibv_send_wr* bad = nullptr;
    if (ibv_post_send(pair->pair.get(), &work, &bad) != 0)
        return false;
    pair->works[pair->posted++ % send_queue_depth] = id;
    ++stats_.work_requests;
    ++stats_.doorbells;
    stats_.bytes += opcode == IBV_WR_RDMA_WRITE ? bytes : 0;
    return true;
}

std::size_t VerbsFabric::poll(Link link, std::span<Completion> out) {
    std::array<ibv_wc, 16> done;
    std::size_t stored = 0;
    while (stored < out.size()) {
        const int want = static_cast<int>(std::min(done.size(), out.size() - stored));
        const int got = ibv_poll_cq(side(link).queue.get(), want, done.data());
        for (int i = 0; i < got; ++i) {
            Pair& pair = pairs_[static_cast<std::size_t>(link)][done[i].wr_id >> 32];
            // Of a failed pair only the first failure is told; what follows it is flushed.
            if (static_cast<std::uint32_t>(done[i].wr_id) != pair.generation || pair.failed)
                continue;
            const WorkId id = pair.works[pair.finished++ % send_queue_depth];
            pair.failed = done[i].status != IBV_WC_SUCCESS;
            out[stored++] = {id, pair.peer, link, !pair.failed};
        }
        if (got < want)
            break;
    }
    return stored;
}

// Of the log links alone: nobody waits for a row to arrive, and the next tick sees it. A queue that was asked once
// reports once, so there is at most one event to take, and nothing to ask for while none has come.
void VerbsFabric::arm() {
    Side& log = side(Link::log);
    ibv_cq* queue = nullptr;
    void* context = nullptr;
    if (ibv_get_cq_event(log.channel.get(), &queue, &context) == 0)
        ibv_ack_cq_events(queue, 1);
    else if (armed_)
        return;
    armed_ = ibv_req_notify_cq(log.queue.get(), 0) == 0;
}

} // namespace

tl::expected<std::unique_ptr<Fabric>, Error> make_verbs_fabric(const std::shared_ptr<VerbsDevice>& device,
                                                               ReplicaId self,
                                                               const std::vector<ReplicaId>& members,
                                                               const MemoryLayout& layout) {
    auto opened = std::dynamic_pointer_cast<OpenedDevice>(device);
    if (!opened)
        return tl::make_unexpected(Error{"verbs fabric: no device"});
    auto fabric = std::make_unique<VerbsFabric>(std::move(opened));
    if (auto ready = fabric->set_up(self, members, layout); !ready)
        return tl::make_unexpected(ready.error());
    return fabric;
}

} // namespace rdma_paxos
