// SPDX-License-Identifier: Apache-2.0
//
// The fabric over reliable-connected queue pairs. See docs/consensus.md, "Fabric verbs".
#include "rdma_paxos/verbs_fabric.h"

#include "fabric/completion_list.h"
#include "fabric/locked_pages.h"
#include "fabric/verbs_link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <random>

namespace rdma_paxos {

namespace {

/// During a change of membership a replica may know the old members and as many new ones.
constexpr std::size_t peers_max = 2 * max_replicas;
/// Of board writes, which a replica paces by its heartbeat: a look for asynchronous events is a system call, and
/// has no place on the way of a commit.
constexpr std::uint32_t board_posts_per_look = 64;

class VerbsFabric final : public Fabric {
  public:
    VerbsFabric(std::shared_ptr<OpenedDevice> device, ReplicaId self)
        : device_(std::move(device)), self_(self), seen_epoch_{device_->epoch(), device_->epoch()} {}

    tl::expected<void, Error> set_up(const std::vector<ReplicaId>& members, const MemoryLayout& layout);

    std::span<std::byte> region(Region region) override { return pages_[static_cast<std::size_t>(region)].span(); }
    bool add_peer(ReplicaId peer) override;
    void remove_peer(ReplicaId peer) override;
    bool reset(ReplicaId peer, Link link) override;
    Endpoint endpoint(ReplicaId peer, Link link) override;
    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override;
    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                    bool more) override {
        return post(IBV_WR_RDMA_WRITE, peer, link, remote_offset, const_cast<std::byte*>(local.data()),
                    local.size(), id, more);
    }
    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override {
        return post(IBV_WR_RDMA_READ, peer, link, remote_offset, local.data(), local.size(), id, false);
    }
    std::size_t poll(Link link, std::span<Completion> out) override;
    std::vector<int> event_fds() const override {
        return {sides_[index(Link::log)].channel->fd, device_->context()->async_fd};
    }
    void arm() override;
    FabricStats stats() const override { return stats_; }
    std::string describe() const override {
        return fmt::format("verbs, {}, log of {}", device_->description(), pages_[index(Region::log)].describe());
    }
    std::optional<Error> failure() const override { return device_->failure(); }

  private:
    /// All that belongs to one kind of link. A domain of its own: whoever holds the board link cannot reach the
    /// log, even if he guesses its key.
    struct Side {
        Owned<ibv_pd> domain;
        Owned<ibv_mr> target; ///< what peers may reach through this kind of link
        Owned<ibv_mr> source; ///< further memory that may be sent from
        Owned<ibv_comp_channel> channel;
        Owned<ibv_cq> queue;
        std::array<std::unique_ptr<VerbsLink>, std::size_t{max_replica_id} + 1> links; ///< by the peer's id
        CompletionList lost{peers_max}; ///< failures of links without a work to fail
    };

    template <class Enum>
    static std::size_t index(Enum which) {
        return static_cast<std::size_t>(which);
    }
    Side& side(Link link) { return sides_[index(link)]; }
    VerbsLink* find(ReplicaId peer, Link link) {
        return peer.value() <= max_replica_id ? side(link).links[peer.value()].get() : nullptr;
    }
    template <class T>
    Owned<T> own(T* object) const {
        return Owned<T>(object, VerbsDeleter{&device_->calls()});
    }
    bool post(ibv_wr_opcode opcode, ReplicaId peer, Link link, std::uint64_t remote_offset, std::byte* local,
              std::size_t bytes, WorkId id, bool more);
    void notice_lost_links(Link link);

    std::shared_ptr<OpenedDevice> device_;
    ReplicaId self_;
    std::array<LockedPages, region_count> pages_;
    std::array<Side, link_count> sides_;
    std::array<std::uint64_t, link_count> seen_epoch_;
    std::size_t peers_ = 0;
    std::size_t peers_room_ = 0;
    std::uint32_t generations_ = 0; ///< of all links: a late completion of a link that is gone fits no other
    std::uint32_t board_posts_ = 0;
    std::mt19937 random_{std::random_device{}()};
    FabricStats stats_;
    bool armed_ = false;
};

tl::expected<void, Error> VerbsFabric::set_up(const std::vector<ReplicaId>& members, const MemoryLayout& layout) {
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
    VerbsCalls& calls = device_->calls();
    const auto wanted = peers_max * VerbsLink::queue_depth;
    const auto entries = static_cast<std::size_t>(std::min(static_cast<int>(wanted), device_->max_completions()));
    peers_room_ = entries / VerbsLink::queue_depth;
    for (const Link link : {Link::board, Link::log}) {
        Side& made = side(link);
        made.domain = own(calls.alloc_pd(device_->context()));
        if (!made.domain)
            return failed("protection domain");
        const auto target = pages_[index(link)].span();
        made.target = own(calls.reg_mr(made.domain.get(), target.data(), target.size(),
                                       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ));
        if (!made.target)
            return failed("register memory");
        const auto outbox = pages_[index(Region::outbox)].span();
        made.source = own(calls.reg_mr(made.domain.get(), outbox.data(), outbox.size(), IBV_ACCESS_LOCAL_WRITE));
        if (!made.source)
            return failed("register memory");
        made.channel = own(calls.create_channel(device_->context()));
        if (!made.channel)
            return failed("completion channel");
        fcntl(made.channel->fd, F_SETFL, fcntl(made.channel->fd, F_GETFL) | O_NONBLOCK);
        made.queue = own(calls.create_cq(device_->context(), static_cast<int>(entries), made.channel.get()));
        if (!made.queue)
            return failed("completion queue");
    }
    for (const ReplicaId id : members)
        if (id != self_ && !add_peer(id))
            return failed("queue pair");
    return {};
}

bool VerbsFabric::add_peer(ReplicaId peer) {
    if (peer == nobody || peer == self_ || peer.value() > max_replica_id)
        return false;
    if (find(peer, Link::board))
        return true;
    if (peers_ == peers_room_ || device_->failure())
        return false;
    std::array<std::unique_ptr<VerbsLink>, link_count> made;
    for (const Link link : {Link::board, Link::log}) {
        made[index(link)] = VerbsLink::make(*device_, side(link).domain.get(), side(link).queue.get(), peer, link);
        if (!made[index(link)])
            return false;
    }
    for (const Link link : {Link::board, Link::log})
        side(link).links[peer.value()] = std::move(made[index(link)]);
    ++peers_;
    return true;
}

// Destroying a queue pair shuts it as a reset does.
void VerbsFabric::remove_peer(ReplicaId peer) {
    if (!find(peer, Link::board))
        return;
    for (Side& each : sides_) {
        each.links[peer.value()].reset();
        each.lost.forget(peer);
    }
    --peers_;
}

bool VerbsFabric::reset(ReplicaId peer, Link link) {
    device_->take_events();
    VerbsLink* found = find(peer, link);
    if (!found || device_->lost() ||
        !found->reset(++generations_, static_cast<std::uint32_t>(random_() & 0xffffff), stats_.replaced))
        return false;
    side(link).lost.forget(peer);
    ++stats_.resets;
    return true;
}

Endpoint VerbsFabric::endpoint(ReplicaId peer, Link link) {
    Endpoint endpoint;
    const VerbsLink* found = find(peer, link);
    if (!found)
        return endpoint;
    const ibv_mr* target = side(link).target.get();
    VerbsAddress address;
    address.queue_pair = found->pair_number();
    address.first_packet = found->first_packet();
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

bool VerbsFabric::connect(ReplicaId peer, Link link, const Endpoint& remote) {
    VerbsLink* found = find(peer, link);
    if (!found || remote.size != sizeof(VerbsAddress) || device_->failure())
        return false;
    notice_lost_links(link); // the new one must not be taken for one of them
    VerbsAddress address;
    std::memcpy(&address, remote.bytes.data(), sizeof address);
    if (!found->connect(address))
        return false;
    ++stats_.connects;
    return true;
}

bool VerbsFabric::post(ibv_wr_opcode opcode, ReplicaId peer, Link link, std::uint64_t remote_offset,
                       std::byte* local, std::size_t bytes, WorkId id, bool more) {
    VerbsLink* found = find(peer, link);
    if (!found)
        return false;
    const auto outbox = pages_[index(Region::outbox)].span();
    const bool from_outbox = local >= outbox.data() && local < outbox.data() + outbox.size();
    const ibv_mr& memory = from_outbox ? *side(link).source : *side(link).target;
    bool doorbell = false;
    if (!found->post(opcode, remote_offset, local, bytes, memory.lkey, id, more, doorbell))
        return false;
    ++stats_.work_requests;
    stats_.doorbells += doorbell;
    stats_.bytes += opcode == IBV_WR_RDMA_WRITE ? bytes : 0;
    if (link == Link::board && ++board_posts_ % board_posts_per_look == 0)
        device_->take_events();
    return true;
}

// Only the fabric knows that its address is not what the peers were told; their packets would go nowhere.
void VerbsFabric::notice_lost_links(Link link) {
    if (seen_epoch_[index(link)] == device_->epoch())
        return;
    seen_epoch_[index(link)] = device_->epoch();
    for (std::size_t id = 1; id <= max_replica_id; ++id)
        if (VerbsLink* each = side(link).links[id].get(); each && each->lose())
            side(link).lost.push({0, ReplicaId(static_cast<std::uint8_t>(id)), link, false});
}

std::size_t VerbsFabric::poll(Link link, std::span<Completion> out) {
    notice_lost_links(link);
    std::array<ibv_wc, 16> done;
    std::size_t stored = side(link).lost.take(out);
    while (stored < out.size()) {
        const int want = static_cast<int>(std::min(done.size(), out.size() - stored));
        const int got = ibv_poll_cq(side(link).queue.get(), want, done.data());
        for (int i = 0; i < got; ++i) {
            // Of a failed link only the first failure is told; what follows it is flushed.
            VerbsLink* found = find(VerbsLink::peer_of(done[i].wr_id), link);
            if (found && found->expects(done[i].wr_id))
                out[stored++] = found->complete(done[i].status == IBV_WC_SUCCESS);
        }
        if (got < want)
            break;
    }
    return stored;
}

// Of the log links alone: nobody waits for a row to arrive, and the next tick sees it. A queue that was asked once
// reports once, so there is at most one event to take, and nothing to ask for while none has come.
void VerbsFabric::arm() {
    device_->take_events();
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
    auto fabric = std::make_unique<VerbsFabric>(std::move(opened), self);
    if (auto ready = fabric->set_up(members, layout); !ready)
        return tl::make_unexpected(ready.error());
    return fabric;
}

} // namespace rdma_paxos
