// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_network.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos::sim {

void SimNetwork::at(Nanoseconds time, std::function<void()> what) {
    events_.push({std::max(time, now_), sequence_++, std::move(what)});
}

bool SimNetwork::step(Nanoseconds until) {
    if (events_.empty() || events_.top().time > until) {
        now_ = until;
        return false;
    }
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.time;
    event.what();
    return true;
}

Nanoseconds SimNetwork::between(Nanoseconds low, Nanoseconds high) {
    return low + Nanoseconds(draw(static_cast<std::uint64_t>((high - low).count()) + 1));
}

bool SimNetwork::reachable(ReplicaId from, ReplicaId to) const {
    const auto cut = cut_.find({from, to});
    const auto stopped = [this](ReplicaId id) {
        const auto found = stopped_.find(id);
        return found != stopped_.end() && found->second;
    };
    return (cut == cut_.end() || !cut->second) && !stopped(from) && !stopped(to) && fabrics_.contains(to);
}

std::unique_ptr<SimFabric> SimNetwork::make_fabric(ReplicaId self, const MemoryLayout& layout) {
    return std::make_unique<SimFabric>(*this, self, layout);
}

SimFabric::SimFabric(SimNetwork& network, ReplicaId self, const MemoryLayout& layout)
    : network_(network), self_(self), memory_(layout.board_bytes + layout.log_bytes + layout.outbox_bytes) {
    std::byte* at = memory_.data();
    regions_ = {std::span{at, layout.board_bytes}, std::span{at + layout.board_bytes, layout.log_bytes},
                std::span{at + layout.board_bytes + layout.log_bytes, layout.outbox_bytes}};
    network_.fabrics_[self] = this;
}

SimFabric::~SimFabric() {
    *alive_ = false;
    if (network_.fabrics_[self_] == this)
        network_.fabrics_.erase(self_);
}

std::span<std::byte> SimFabric::region(Region region) {
    return regions_[static_cast<std::size_t>(region)];
}

bool SimFabric::reset(ReplicaId peer, Link link) {
    End& own = end(peer, link);
    ++stats_.resets;
    // A reset takes its time: something may still land while it is made, after the caller looked at his memory.
    if (const auto other = network_.fabrics_.find(peer); other != network_.fabrics_.end() && network_.chance(0.3)) {
        End& theirs = other->second->end(self_, link);
        if (!theirs.works.empty() && !theirs.failed) {
            theirs.works.front().ready = network_.now_;
            other->second->progress(self_, link);
        }
    }
    // What has left this host already may still land at the other end, if that end stands.
    if (own.remote != 0 && !own.works.empty() && !own.works.front().bytes.empty() && network_.chance(0.5)) {
        Work work = own.works.front();
        const auto from_generation = own.generation;
        const auto to_generation = own.remote;
        network_.at(network_.now_ + network_.between(1us, 20us),
                    [this, alive = alive_, peer, link, work, from_generation, to_generation] {
                        const auto found = network_.fabrics_.find(peer);
                        if (!*alive || found == network_.fabrics_.end() || !network_.reachable(self_, peer) ||
                            !found->second->accepts(self_, link, from_generation, to_generation))
                            return;
                        const std::size_t upto = network_.draw(work.bytes.size() + 1) / 8 * 8;
                        const auto region = found->second->regions_[static_cast<std::size_t>(link)];
                        if (upto > work.landed)
                            std::memcpy(region.data() + work.offset + work.landed, work.bytes.data() + work.landed,
                                        upto - work.landed);
                    });
    }
    own.revoked_generation = own.generation;
    own.revoked_remote = own.remote;
    own.revoked_at = network_.now_;
    own.generation = ++network_.sequence_;
    own.remote = 0;
    own.failed = false;
    own.works.clear();
    std::erase_if(completions_[static_cast<std::size_t>(link)],
                  [peer](const Completion& done) { return done.peer == peer; });
    return true;
}

void SimFabric::remove_peer(ReplicaId peer) {
    for (const Link link : {Link::board, Link::log})
        (void)reset(peer, link);
}

Endpoint SimFabric::endpoint(ReplicaId peer, Link link) {
    Endpoint endpoint{.size = sizeof(std::uint64_t)};
    std::memcpy(endpoint.bytes.data(), &end(peer, link).generation, sizeof(std::uint64_t));
    return endpoint;
}

bool SimFabric::connect(ReplicaId peer, Link link, const Endpoint& remote) {
    End& own = end(peer, link);
    if (remote.size != sizeof(std::uint64_t) || own.remote != 0 || own.generation == 0 ||
        network_.chance(network_.options_.refused_connect_probability))
        return false;
    std::memcpy(&own.remote, remote.bytes.data(), sizeof own.remote);
    ++stats_.connects;
    return own.remote != 0;
}

// Whether this end takes packets of the connection (from_generation, own_generation) now.
bool SimFabric::accepts(ReplicaId from, Link link, std::uint64_t from_generation, std::uint64_t own_generation) {
    const End& own = end(from, link);
    if (own.generation == own_generation && own.remote == from_generation)
        return true;
    return network_.options_.reset_only_revokes && own.revoked_generation == own_generation &&
           own.revoked_remote == from_generation && network_.now_ - own.revoked_at < 100us;
}

bool SimFabric::post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                           bool more) {
    stats_.bytes += local.size();
    return post(peer, link,
                {.id = id, .bytes = {local.begin(), local.end()}, .silent = more, .offset = remote_offset});
}

bool SimFabric::post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                          WorkId id) {
    return post(peer, link, {.id = id, .target = local, .offset = remote_offset});
}

bool SimFabric::post(ReplicaId peer, Link link, Work work) {
    End& own = end(peer, link);
    if (own.remote == 0 || own.failed)
        return false;
    ++stats_.work_requests;
    stats_.doorbells += !work.silent;
    const NetworkOptions& options = network_.options_;
    work.ready = network_.now_ + network_.between(options.latency_min, options.latency_max);
    if (network_.chance(options.slow_probability))
        work.ready += network_.between(0ns, options.slow_max);
    work.give_up = work.ready + options.retry_time;
    own.works.push_back(std::move(work));
    if (!own.running)
        schedule(peer, link, own.works.front().ready);
    return true;
}

void SimFabric::schedule(ReplicaId peer, Link link, Nanoseconds when) {
    end(peer, link).running = true;
    network_.at(when, [this, alive = alive_, peer, link] {
        if (*alive)
            progress(peer, link);
    });
}

// One packet of the oldest work.
void SimFabric::progress(ReplicaId peer, Link link) {
    End& own = end(peer, link);
    own.running = false;
    if (own.works.empty() || own.failed)
        return;
    Work& work = own.works.front();
    if (network_.now_ < work.ready)
        return schedule(peer, link, work.ready);
    const auto found = network_.fabrics_.find(peer);
    const bool path = found != network_.fabrics_.end() && network_.reachable(self_, peer);
    if (!path || !found->second->accepts(self_, link, own.generation, own.remote)) {
        if (network_.now_ >= work.give_up)
            return fail(peer, link);
        return schedule(peer, link, network_.now_ + network_.options_.retry_interval);
    }
    work.give_up = network_.now_ + network_.options_.retry_time;
    const auto region = found->second->regions_[static_cast<std::size_t>(link)];
    const std::size_t total = work.bytes.size() + work.target.size();
    if (work.offset + total > region.size())
        return fail(peer, link);
    if (!work.bytes.empty()) {
        const std::size_t length = std::min(work.bytes.size() - work.landed, network_.options_.packet_bytes);
        std::memcpy(region.data() + work.offset + work.landed, work.bytes.data() + work.landed, length);
        work.landed += length;
    } else {
        const auto source = region.subspan(work.offset, work.target.size());
        work.bytes.assign(source.begin(), source.end());
        work.landed = total;
    }
    if (work.landed == total) {
        Work done = std::move(work);
        own.works.pop_front();
        acknowledge(peer, link, std::move(done));
        if (!own.works.empty())
            schedule(peer, link, std::max(network_.now_ + network_.options_.packet_gap, own.works.front().ready));
    } else
        schedule(peer, link, network_.now_ + network_.options_.packet_gap);
}

void SimFabric::acknowledge(ReplicaId peer, Link link, Work work) {
    End& own = end(peer, link);
    const NetworkOptions& options = network_.options_;
    own.last_ack =
        std::max(own.last_ack + 1ns, network_.now_ + network_.between(options.latency_min, options.latency_max));
    network_.at(own.last_ack,
                [this, alive = alive_, peer, link, generation = own.generation, work = std::move(work)] {
                    if (!*alive)
                        return;
                    End& present = end(peer, link);
                    if (present.generation != generation || present.failed)
                        return;
                    if (!network_.reachable(peer, self_)) {
                        fail(peer, link); // landed, but nobody will ever tell us
                        return;
                    }
                    if (!work.target.empty())
                        std::memcpy(work.target.data(), work.bytes.data(), work.target.size());
                    if (!work.silent)
                        complete(peer, link, work.id, true);
                });
}

void SimFabric::fail(ReplicaId peer, Link link) {
    End& own = end(peer, link);
    own.failed = true;
    const WorkId id = own.works.empty() ? 0 : own.works.front().id;
    own.works.clear();
    complete(peer, link, id, false);
}

void SimFabric::complete(ReplicaId peer, Link link, WorkId id, bool ok) {
    completions_[static_cast<std::size_t>(link)].push_back({id, peer, link, ok});
    if (network_.on_completion)
        network_.on_completion(self_);
}

std::size_t SimFabric::poll(Link link, std::span<Completion> out) {
    auto& queue = completions_[static_cast<std::size_t>(link)];
    std::size_t count = 0;
    for (; count < out.size() && !queue.empty(); ++count) {
        out[count] = queue.front();
        queue.pop_front();
    }
    return count;
}

class SimRendezvous final : public Rendezvous {
  public:
    SimRendezvous(SimNetwork& network, ReplicaId self) : network_(network), self_(self) {
        network_.mail_[self].clear();
    }

    void send(ReplicaId peer, const RendezvousMessage& message) override {
        if (network_.chance(network_.options_.lost_message_probability))
            return;
        network_.at(network_.now_ + network_.between(50us, 2ms),
                    [&network = network_, peer, self = self_, message] {
                        if (network.reachable(self, peer) && network.reachable(peer, self))
                            network.mail_[peer].push_back({self, message});
                    });
    }

    void receive(Nanoseconds, const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) override {
        auto& mail = network_.mail_[self_];
        while (!mail.empty()) {
            const auto [from, message] = mail.front();
            mail.pop_front();
            deliver(from, message);
        }
    }

  private:
    SimNetwork& network_;
    ReplicaId self_;
};

std::unique_ptr<Rendezvous> SimNetwork::make_rendezvous(ReplicaId self) {
    return std::make_unique<SimRendezvous>(*this, self);
}

} // namespace rdma_paxos::sim
