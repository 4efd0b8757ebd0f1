// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/shm_fabric.h"

#include "fabric/shm_segment.h"

#include <algorithm>
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

void leave(ShmGate& gate) {
    gate.holder.store(0, std::memory_order_release);
}

class ShmFabric final : public Fabric {
  public:
    ShmFabric(const GroupId& group, ReplicaId self, std::vector<ReplicaId> members, const MemoryLayout& layout,
              std::unique_ptr<ShmSegment> own)
        : group_(group), members_(std::move(members)), own_(std::move(own)), outbox_(layout.outbox_bytes),
          process_(static_cast<std::uint32_t>(getpid())) {
        std::sort(members_.begin(), members_.end());
        own_slot_ = slot_of(self);
    }

    std::span<std::byte> region(Region region) override {
        return region == Region::outbox ? std::span{outbox_} : own_->region(static_cast<Link>(region));
    }

    bool reset(ReplicaId peer, Link link) override {
        ShmGate& gate = own_->header().gates[slot_of(peer)][static_cast<std::size_t>(link)];
        if (!enter(gate, process_))
            return false;
        gate.generation.store(0, std::memory_order_relaxed);
        leave(gate);
        End& own = end(peer, link);
        ++own.generation;
        own.connected = own.failed = false;
        own.waiting.clear();
        std::erase_if(completions_[static_cast<std::size_t>(link)],
                      [peer](const Completion& done) { return done.peer == peer; });
        ++stats_.resets;
        return true;
    }

    Endpoint endpoint(ReplicaId peer, Link link) override {
        const ShmAddress address{own_->header().nonce, end(peer, link).generation, 0};
        Endpoint endpoint{.size = sizeof address};
        std::memcpy(endpoint.bytes.data(), &address, sizeof address);
        return endpoint;
    }

    bool connect(ReplicaId peer, Link link, const Endpoint& remote) override {
        ShmAddress address;
        End& own = end(peer, link);
        if (remote.size != sizeof address || own.connected || own.generation == 0)
            return false;
        std::memcpy(&address, remote.bytes.data(), sizeof address);
        ShmSegment* segment = segment_of(peer, address.nonce);
        if (!segment || address.generation == 0)
            return false;
        own.remote = address.generation;
        own.connected = true;
        ShmGate& gate = own_->header().gates[slot_of(peer)][static_cast<std::size_t>(link)];
        gate.remote.store(address.generation, std::memory_order_relaxed);
        gate.generation.store(own.generation, std::memory_order_release);
        ++stats_.connects;
        return true;
    }

    bool post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id) override {
        stats_.bytes += local.size();
        return post(peer, link, {id, remote_offset, const_cast<std::byte*>(local.data()), local.size(), true, {}});
    }

    bool post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                   WorkId id) override {
        return post(peer, link, {id, remote_offset, local.data(), local.size(), false, {}});
    }

    std::size_t poll(Link link, std::span<Completion> out) override {
        for (std::size_t slot = 0; slot < members_.size(); ++slot)
            if (!ends_[slot][static_cast<std::size_t>(link)].waiting.empty())
                retry(members_[slot], link);
        auto& queue = completions_[static_cast<std::size_t>(link)];
        const std::size_t count = std::min(out.size(), queue.size());
        std::copy_n(queue.begin(), count, out.begin());
        queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
        return count;
    }

    FabricStats stats() const override { return stats_; }

    // For the rendezvous beside us.
    ShmHeader& own_header() { return own_->header(); }
    ShmSegment* present_segment_of(ReplicaId peer) {
        const auto nonce = ShmSegment::nonce_of(shm_name(group_, peer));
        return nonce ? segment_of(peer, *nonce) : nullptr;
    }
    const std::vector<ReplicaId>& members() const { return members_; }
    std::size_t own_slot() const { return own_slot_; }
    std::size_t slot_of(ReplicaId id) const {
        return static_cast<std::size_t>(std::find(members_.begin(), members_.end(), id) - members_.begin());
    }

  private:
    using Clock = std::chrono::steady_clock;
    struct Work {
        WorkId id;
        std::uint64_t offset;
        std::byte* local;
        std::size_t bytes;
        bool writes; ///< else it reads
        Clock::time_point give_up;
    };
    struct End {
        std::uint32_t generation = 0;
        std::uint32_t remote = 0;
        bool connected = false;
        bool failed = false;
        std::vector<Work> waiting; ///< for the peer to open its gate, oldest first
    };

    End& end(ReplicaId peer, Link link) { return ends_[slot_of(peer)][static_cast<std::size_t>(link)]; }

    ShmSegment* segment_of(ReplicaId peer, std::uint64_t nonce) {
        auto& segment = segments_[slot_of(peer)];
        if (!segment || segment->header().nonce != nonce)
            segment = ShmSegment::attach(shm_name(group_, peer));
        return segment && segment->header().nonce == nonce ? segment.get() : nullptr;
    }

    bool post(ReplicaId peer, Link link, Work work) {
        End& own = end(peer, link);
        if (!own.connected || own.failed)
            return false;
        ++stats_.work_requests;
        ++stats_.doorbells;
        if (own.waiting.empty() && perform(peer, link, work))
            return true;
        work.give_up = Clock::now() + retry_time;
        own.waiting.push_back(work);
        return true;
    }

    /// True if the work is done, well or not; false if the gate is shut.
    bool perform(ReplicaId peer, Link link, const Work& work) {
        End& own = end(peer, link);
        ShmSegment& target = *segments_[slot_of(peer)];
        ShmGate& gate = target.header().gates[own_slot_][static_cast<std::size_t>(link)];
        const auto memory = target.region(link);
        if (work.offset > memory.size() || work.bytes > memory.size() - work.offset) {
            finish(peer, link, work, false);
            return true;
        }
        if (!enter(gate, process_))
            return false;
        const bool open = gate.generation.load(std::memory_order_acquire) == own.remote &&
                          gate.remote.load(std::memory_order_relaxed) == own.generation;
        if (open) {
            std::byte* remote = memory.data() + work.offset;
            std::memcpy(work.writes ? remote : work.local, work.writes ? work.local : remote, work.bytes);
        }
        leave(gate);
        if (open)
            finish(peer, link, work, true);
        return open;
    }

    void finish(ReplicaId peer, Link link, const Work& work, bool ok) {
        end(peer, link).failed = !ok;
        completions_[static_cast<std::size_t>(link)].push_back({work.id, peer, link, ok});
    }

    void retry(ReplicaId peer, Link link) {
        End& own = end(peer, link);
        while (!own.waiting.empty() && !own.failed) {
            const Work work = own.waiting.front();
            if (!perform(peer, link, work)) {
                if (Clock::now() < work.give_up)
                    return;
                finish(peer, link, work, false);
            }
            own.waiting.erase(own.waiting.begin());
        }
        own.waiting.clear();
    }

    GroupId group_;
    std::vector<ReplicaId> members_;
    std::size_t own_slot_ = 0;
    std::unique_ptr<ShmSegment> own_;
    std::vector<std::byte> outbox_;
    std::uint32_t process_;
    std::array<std::unique_ptr<ShmSegment>, max_replicas> segments_;
    std::array<std::array<End, link_count>, max_replicas> ends_{};
    std::array<std::vector<Completion>, link_count> completions_;
    FabricStats stats_;
};

class ShmRendezvous final : public Rendezvous {
  public:
    explicit ShmRendezvous(ShmFabric& fabric) : fabric_(fabric) {}

    void send(ReplicaId peer, const RendezvousMessage& message) override {
        ShmSegment* segment = fabric_.present_segment_of(peer);
        if (!segment)
            return;
        ShmMailbox& box = segment->header().mailboxes[fabric_.own_slot()];
        box.version.fetch_add(1, std::memory_order_acq_rel);
        std::atomic_thread_fence(std::memory_order_release);
        box.message = message;
        box.version.fetch_add(1, std::memory_order_release);
    }

    void receive(Nanoseconds, const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) override {
        for (std::size_t slot = 0; slot < fabric_.members().size(); ++slot) {
            ShmMailbox& box = fabric_.own_header().mailboxes[slot];
            const std::uint64_t version = box.version.load(std::memory_order_acquire);
            if (version == seen_[slot] || version % 2 != 0)
                continue;
            const RendezvousMessage message = box.message;
            std::atomic_thread_fence(std::memory_order_acquire);
            if (box.version.load(std::memory_order_relaxed) != version)
                continue; // it was being replaced
            seen_[slot] = version;
            deliver(fabric_.members()[slot], message);
        }
    }

  private:
    ShmFabric& fabric_;
    std::array<std::uint64_t, max_replicas> seen_{};
};

} // namespace

tl::expected<ShmEndpoint, Error> make_shm_fabric(const GroupId& group, ReplicaId self,
                                                 const std::vector<ReplicaId>& members,
                                                 const MemoryLayout& layout) {
    if (members.size() > max_replicas || std::find(members.begin(), members.end(), self) == members.end())
        return tl::make_unexpected(
            Error{fmt::format("shm fabric: {} is not one of at most {} members", self.value(), max_replicas)});
    auto own = ShmSegment::create(shm_name(group, self), layout);
    if (!own)
        return tl::make_unexpected(own.error());
    auto fabric = std::make_unique<ShmFabric>(group, self, members, layout, std::move(*own));
    auto rendezvous = std::make_unique<ShmRendezvous>(*fabric);
    return ShmEndpoint{std::move(fabric), std::move(rendezvous)};
}

} // namespace rdma_paxos
