// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/shm_fabric.h"

#include "fabric/completion_list.h"
#include "fabric/prefetch.h"
#include "fabric/shm_segment.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

namespace rdma_paxos {

namespace {

/// What travels in an Endpoint.
struct ShmAddress {
    std::uint64_t nonce = 0;
    std::uint32_t generation = 0;
    std::uint32_t reserved = 0;
};

/// Enters a gate, or gives up after a while. A holder that died inside will not write any more: its place is taken.
bool enter(ShmGate& gate, std::uint32_t self) {
    for (int attempt = 0; attempt < 20000; ++attempt) {
        std::uint32_t holder = 0;
        if (gate.holder.compare_exchange_strong(holder, self, std::memory_order_acquire))
            return true;
        if (attempt % 64 == 63) {
            const bool dead = holder != self && kill(static_cast<pid_t>(holder), 0) != 0 && errno == ESRCH;
            if (dead && gate.holder.compare_exchange_strong(holder, self, std::memory_order_acquire))
                return true;
            sched_yield();
        }
    }
    return false;
}

/// How long a work waits for a gate that is shut before it fails, as packets are sent again on a real fabric: the
/// two ends of a link are never opened at the same moment.
constexpr auto retry_time = std::chrono::milliseconds(20);

/// Works on one link that are posted and not yet polled.
constexpr std::uint32_t queue_depth = 128;

void leave(ShmGate& gate) {
    gate.holder.store(0, std::memory_order_release);
}

class ShmFabric final : public Fabric {
  public:
    ShmFabric(const GroupId& group, ReplicaId self, const MemoryLayout& layout, std::unique_ptr<ShmSegment> own)
        : group_(group), self_(self), own_(std::move(own)), outbox_(layout.outbox_bytes),
          process_(static_cast<std::uint32_t>(getpid())) {}

    std::span<std::byte> region(Region region) override {
        return region == Region::outbox ? std::span{outbox_} : own_->region(static_cast<Link>(region));
    }

    bool add_peer(ReplicaId peer) override {
        if (peer == nobody || peer == self_ || peer.value() > max_replica_id)
            return false;
        auto& place = peers_[peer.value()];
        if (!place) {
            place = std::make_unique<Peer>();
            for (End& own : place->ends) {
                own.generation = generations_[peer.value()];
                own.waiting.reserve(queue_depth);
            }
            known_.push_back(peer);
        }
        return true;
    }

    void remove_peer(ReplicaId peer) override {
        Peer* known = find(peer);
        if (!known)
            return;
        for (const Link link : {Link::log, Link::board})
            while (!reset(peer, link))
                sched_yield();
        // Should it be added again, an offer from before must not fit.
        for (const End& own : known->ends)
            generations_[peer.value()] = std::max(generations_[peer.value()], own.generation);
        peers_[peer.value()].reset();
        segments_[peer.value()].reset();
        std::erase(known_, peer);
    }

    bool reset(ReplicaId peer, Link link) override {
        End* own = end(peer, link);
        if (!own)
            return false;
        ShmGate& gate = own_gate(peer, link);
        if (!enter(gate, process_))
            return false;
        gate.generation.store(0, std::memory_order_relaxed);
        leave(gate);
        ++own->generation;
        own->connected = own->failed = false;
        own->unread = 0;
        waiting_ -= own->waiting.size();
        own->waiting.clear();
        completions_[index(link)].forget(peer);
        ++stats_.resets;
        return true;
    }

    Endpoint endpoint(ReplicaId peer, Link link) override {
        const End* own = end(peer, link);
        if (!own)
            return {};
        const ShmAddress address{own_->header().nonce, own->generation, 0};
        Endpoint endpoint{.size = sizeof address};
        std::memcpy(endpoint.bytes.data(), &address, sizeof address);
        return endpoint;
    }

    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override {
        ShmAddress address;
        End* own = end(peer, link);
        if (!own || remote.size != sizeof address || own->connected || own->generation == 0)
            return false;
        std::memcpy(&address, remote.bytes.data(), sizeof address);
        ShmSegment* segment = segment_of(peer, address.nonce);
        if (!segment || address.generation == 0)
            return false;
        own->remote = address.generation;
        own->connected = true;
        own->gate = &segment->header().gates[self_.value()][index(link)];
        own->memory = segment->region(link);
        ShmGate& gate = own_gate(peer, link);
        gate.remote.store(address.generation, std::memory_order_relaxed);
        gate.generation.store(own->generation, std::memory_order_release);
        ++stats_.connects;
        return true;
    }

    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                    bool more) override {
        stats_.bytes += local.size();
        stats_.doorbells += !more;
        return post(peer, link,
                    {id, remote_offset, const_cast<std::byte*>(local.data()), local.size(), true, more, {}});
    }

    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override {
        ++stats_.doorbells;
        return post(peer, link, {id, remote_offset, local.data(), local.size(), false, false, {}});
    }

    std::size_t poll(Link link, std::span<Completion> out) override {
        if (waiting_ > 0)
            retry_all(link);
        const std::size_t count = completions_[index(link)].take(out);
        for (const Completion& done : out.first(count))
            --peers_[done.peer.value()]->ends[index(link)].unread;
        return count;
    }

    FabricStats stats() const override { return stats_; }
    std::string describe() const override { return "shm, " + own_->describe_pages(); }

    // For the rendezvous beside us.
    ReplicaId self() const { return self_; }
    ShmHeader& own_header() { return own_->header(); }
    ShmSegment* present_segment_of(ReplicaId peer) {
        const auto nonce = ShmSegment::nonce_of(shm_name(group_, peer));
        return nonce ? segment_of(peer, *nonce) : nullptr;
    }

  private:
    using Clock = std::chrono::steady_clock;
    struct Work {
        WorkId id;
        std::uint64_t offset;
        std::byte* local;
        std::size_t bytes;
        bool writes; ///< else it reads
        bool silent; ///< no completion if it succeeds
        Clock::time_point give_up;
    };
    struct End {
        std::uint32_t generation = 0;
        std::uint32_t remote = 0;
        bool connected = false;
        bool failed = false;
        std::uint32_t unread = 0;    ///< completions that the caller has not polled
        ShmGate* gate = nullptr;     ///< in the peer's segment, for us
        std::span<std::byte> memory; ///< the peer's
        std::vector<Work> waiting;   ///< for the peer to open its gate, oldest first
    };
    struct Peer {
        std::array<End, link_count> ends;
    };

    static std::size_t index(Link link) { return static_cast<std::size_t>(link); }
    Peer* find(ReplicaId peer) { return peer.value() <= max_replica_id ? peers_[peer.value()].get() : nullptr; }
    End* end(ReplicaId peer, Link link) {
        Peer* known = find(peer);
        return known ? &known->ends[index(link)] : nullptr;
    }
    ShmGate& own_gate(ReplicaId peer, Link link) { return own_->header().gates[peer.value()][index(link)]; }

    /// A new object of the peer takes the old one's place; links that lead to the old one are lost with it.
    ShmSegment* segment_of(ReplicaId peer, std::uint64_t nonce) {
        if (peer.value() > max_replica_id)
            return nullptr;
        auto& segment = segments_[peer.value()];
        if (!segment || segment->header().nonce != nonce) {
            if (Peer* known = find(peer))
                for (const Link link : {Link::board, Link::log})
                    lose(peer, link, known->ends[index(link)]);
            segment = ShmSegment::attach(shm_name(group_, peer));
        }
        return segment && segment->header().nonce == nonce ? segment.get() : nullptr;
    }

    void lose(ReplicaId peer, Link link, End& own) {
        waiting_ -= own.waiting.size();
        own.waiting.clear();
        own.gate = nullptr;
        if (own.connected && !own.failed)
            finish(peer, link, own, 0, false);
    }

    bool post(ReplicaId peer, Link link, Work work) {
        End* own = end(peer, link);
        if (!own || !own->connected || own->failed || own->unread + own->waiting.size() >= queue_depth)
            return false;
        ++stats_.work_requests;
        if (own->waiting.empty() && perform(peer, link, *own, work))
            return true;
        work.give_up = Clock::now() + retry_time;
        own->waiting.push_back(work);
        ++waiting_;
        return true;
    }

    /// True if the work is done, well or not; false if the gate is shut.
    bool perform(ReplicaId peer, Link link, End& own, const Work& work) {
        if (work.offset > own.memory.size() || work.bytes > own.memory.size() - work.offset) {
            finish(peer, link, own, work.id, false);
            return true;
        }
        if (!enter(*own.gate, process_))
            return false;
        const bool open = own.gate->generation.load(std::memory_order_acquire) == own.remote &&
                          own.gate->remote.load(std::memory_order_relaxed) == own.generation;
        if (open) {
            std::byte* remote = own.memory.data() + work.offset;
            std::memcpy(work.writes ? remote : work.local, work.writes ? work.local : remote, work.bytes);
            if (work.writes)
                prefetch_for_write(remote + work.bytes, work.bytes, own.memory.size() - work.offset - work.bytes);
        }
        leave(*own.gate);
        if (open && !work.silent)
            finish(peer, link, own, work.id, true);
        return open;
    }

    void finish(ReplicaId peer, Link link, End& own, WorkId id, bool ok) {
        own.failed = !ok;
        ++own.unread;
        completions_[index(link)].push({id, peer, link, ok});
    }

    void retry_all(Link link) {
        for (const ReplicaId peer : known_)
            if (End& own = *end(peer, link); !own.waiting.empty())
                retry(peer, link, own);
    }

    void retry(ReplicaId peer, Link link, End& own) {
        while (!own.waiting.empty() && !own.failed) {
            const Work work = own.waiting.front();
            if (!perform(peer, link, own, work)) {
                if (Clock::now() < work.give_up)
                    return;
                finish(peer, link, own, work.id, false);
            }
            own.waiting.erase(own.waiting.begin());
            --waiting_;
        }
        waiting_ -= own.waiting.size();
        own.waiting.clear();
    }

    GroupId group_;
    ReplicaId self_;
    std::unique_ptr<ShmSegment> own_;
    std::vector<std::byte> outbox_;
    std::uint32_t process_;
    std::vector<ReplicaId> known_;
    std::array<std::unique_ptr<Peer>, ShmHeader::id_count> peers_;
    std::array<std::unique_ptr<ShmSegment>, ShmHeader::id_count> segments_;
    std::array<std::uint32_t, ShmHeader::id_count> generations_{};
    std::array<CompletionList, link_count> completions_{CompletionList(queue_depth * max_replicas),
                                                        CompletionList(queue_depth* max_replicas)};
    std::size_t waiting_ = 0; ///< works in all lists of that name
    FabricStats stats_;
};

class ShmRendezvous final : public Rendezvous {
  public:
    explicit ShmRendezvous(ShmFabric& fabric) : fabric_(fabric) {}

    void send(ReplicaId peer, const RendezvousMessage& message) override {
        ShmSegment* segment = fabric_.present_segment_of(peer);
        if (!segment)
            return;
        ShmHeader& header = segment->header();
        ShmMailbox& box = header.mailboxes[fabric_.self().value()];
        box.version.fetch_add(1, std::memory_order_acq_rel);
        std::atomic_thread_fence(std::memory_order_release);
        box.message = message;
        box.version.fetch_add(1, std::memory_order_release);
        header.mail.fetch_or(std::uint64_t{1} << fabric_.self().value(), std::memory_order_release);
    }

    void receive(Nanoseconds, const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) override {
        ShmHeader& header = fabric_.own_header();
        if (header.mail.load(std::memory_order_relaxed) == 0)
            return;
        std::uint64_t senders = header.mail.exchange(0, std::memory_order_acquire);
        for (; senders != 0; senders &= senders - 1) {
            const auto sender = static_cast<std::uint8_t>(std::countr_zero(senders));
            const ShmMailbox& box = header.mailboxes[sender];
            const std::uint64_t version = box.version.load(std::memory_order_acquire);
            const RendezvousMessage message = box.message;
            std::atomic_thread_fence(std::memory_order_acquire);
            if (version % 2 != 0 || box.version.load(std::memory_order_relaxed) != version)
                continue; // it is being replaced; its sender raises the bit again
            deliver(ReplicaId(sender), message);
        }
    }

  private:
    ShmFabric& fabric_;
};

} // namespace

tl::expected<ShmEndpoint, Error> make_shm_fabric(const GroupId& group, ReplicaId self,
                                                 const std::vector<ReplicaId>& members,
                                                 const MemoryLayout& layout) {
    if (self == nobody || self.value() > max_replica_id)
        return tl::make_unexpected(Error{fmt::format("shm fabric: no replica id: {}", self.value())});
    auto own = ShmSegment::create(shm_name(group, self), layout);
    if (!own)
        return tl::make_unexpected(own.error());
    auto fabric = std::make_unique<ShmFabric>(group, self, layout, std::move(*own));
    for (const ReplicaId id : members)
        if (id != self && !fabric->add_peer(id))
            return tl::make_unexpected(Error{fmt::format("shm fabric: no replica id: {}", id.value())});
    auto rendezvous = std::make_unique<ShmRendezvous>(*fabric);
    return ShmEndpoint{std::move(fabric), std::move(rendezvous)};
}

} // namespace rdma_paxos
