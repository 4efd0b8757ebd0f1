// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_fabric.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace rdma_paxos::sim {

namespace {

constexpr std::align_val_t page{4096};

std::uint64_t pack(std::uint64_t generation, ReplicaId peer, Link link) {
    return generation << 8 | std::uint64_t{peer.value()} << 1 | static_cast<std::uint64_t>(link);
}

} // namespace

SimFabric::Work& SimFabric::Works::add() {
    if (end_ - first_ == slots_.size()) {
        std::vector<Work> wider(std::max<std::size_t>(4, 2 * slots_.size()));
        for (std::uint32_t number = first_; number != end_; ++number)
            wider[number % wider.size()] = std::move(at(number));
        slots_ = std::move(wider);
    }
    return at(end_++);
}

SimFabric::Work& SimFabric::Works::next_sent() {
    sent_ = std::max(sent_, first_);
    while (at(sent_).is_read)
        ++sent_;
    return at(sent_++);
}

SimFabric::SimFabric(SimNetwork& network, ReplicaId self, const MemoryLayout& layout)
    : network_(network), self_(self), handler_(network.add_handler(*this)), random_(network.stream(self)),
      memory_(nullptr, [](std::byte* memory) { ::operator delete(memory, page); }) {
    const std::size_t total = layout.board_bytes + layout.log_bytes + layout.outbox_bytes;
    memory_.reset(static_cast<std::byte*>(::operator new(total, page)));
    std::byte* at = memory_.get();
    std::memset(at, 0, total);
    regions_ = {std::span{at, layout.board_bytes}, std::span{at + layout.board_bytes, layout.log_bytes},
                std::span{at + layout.board_bytes + layout.log_bytes, layout.outbox_bytes}};
    network_.fabrics_[self.value()] = this;
}

SimFabric::~SimFabric() {
    network_.remove_handler(handler_);
    if (network_.fabrics_[self_.value()] == this)
        network_.fabrics_[self_.value()] = nullptr;
}

SimFabric::End& SimFabric::end(ReplicaId peer, Link link) {
    auto& slot = ends_[peer.value()][static_cast<std::size_t>(link)];
    if (!slot)
        slot = std::make_unique<End>();
    return *slot;
}

bool SimFabric::add_peer(ReplicaId peer) {
    return peer != nobody && peer.value() <= max_replica_id;
}

void SimFabric::remove_peer(ReplicaId peer) {
    const bool refused = std::exchange(refuses_resets_, false);
    for (const Link link : {Link::board, Link::log})
        if (find(peer, link))
            (void)reset(peer, link);
    refuses_resets_ = refused;
}

bool SimFabric::reset(ReplicaId peer, Link link) {
    End& own = end(peer, link);
    ++stats_.resets;
    let_slip_in(peer, link);
    if (refuses_resets_ && random_.chance(0.8))
        return false;
    if (own.remote != 0 && !own.works.all_landed() && random_.chance(0.5))
        leave_straggler(own, peer, link);
    own.revoked_generation = own.generation;
    own.revoked_remote = own.remote;
    own.revoked_at = network_.now();
    own.generation = network_.unique();
    own.remote = 0;
    own.failed = own.moving = own.tear_next = false;
    own.works.clear();
    std::erase_if(completions_[static_cast<std::size_t>(link)],
                  [peer](const Completion& done) { return done.peer == peer; });
    return true;
}

// A reset takes its time: something may still land while it is made, after the caller looked at his memory; a
// packet, too, that was sent again and again over a path that is cut otherwise.
void SimFabric::let_slip_in(ReplicaId peer, Link link) {
    SimFabric* other = network_.fabric_of(peer);
    End* theirs = other && random_.chance(0.3) ? other->find(self_, link) : nullptr;
    if (!theirs || theirs->failed || theirs->works.all_landed() || network_.is_stopped(peer) ||
        !accepts(peer, link, theirs->generation, theirs->remote))
        return;
    other->land(*theirs, self_, link, *this);
}

// What has left this host already may still land at the other end, if that end stands.
void SimFabric::leave_straggler(End& own, ReplicaId peer, Link link) {
    const Work& work = own.works.to_land();
    if (work.is_read)
        return;
    const std::size_t upto = random_.draw(work.size + 1) / 8 * 8;
    if (upto <= work.landed)
        return;
    stragglers_.push_back({peer,
                           link,
                           own.generation,
                           own.remote,
                           work.offset + work.landed,
                           {work.source + work.landed, work.source + upto}});
    const NetworkOptions& options = network_.options();
    network_.at(network_.now() + random_.between(options.latency_min, options.latency_max), handler_, straggle,
                stragglers_.size() - 1);
}

void SimFabric::arrive(const Straggler& late) {
    SimFabric* other = network_.fabric_of(late.peer);
    if (!other || !network_.reachable(self_, late.peer) ||
        !other->accepts(self_, late.link, late.from_generation, late.to_generation))
        return;
    const auto region = other->regions_[static_cast<std::size_t>(late.link)];
    if (late.offset + late.bytes.size() > region.size())
        return;
    std::memcpy(region.data() + late.offset, late.bytes.data(), late.bytes.size());
    if (network_.observer)
        network_.observer->on_landed(late.peer, self_, late.link, false);
}

Endpoint SimFabric::endpoint(ReplicaId peer, Link link) {
    Endpoint endpoint{.size = sizeof(std::uint64_t)};
    std::memcpy(endpoint.bytes.data(), &end(peer, link).generation, sizeof(std::uint64_t));
    return endpoint;
}

bool SimFabric::connect(ReplicaId peer, Link link, const Endpoint& remote) {
    End& own = end(peer, link);
    if (remote.size != sizeof(std::uint64_t) || own.remote != 0 || own.generation == 0 || refuses_connects_ ||
        random_.chance(network_.options().refused_connect_probability))
        return false;
    std::memcpy(&own.remote, remote.bytes.data(), sizeof own.remote);
    ++stats_.connects;
    return own.remote != 0;
}

// Whether this end takes packets of the connection (from_generation, own_generation) now.
bool SimFabric::accepts(ReplicaId from, Link link, std::uint64_t from_generation, std::uint64_t own_generation) {
    const End* own = find(from, link);
    if (!own)
        return false;
    if (own->generation == own_generation && own->remote == from_generation)
        return true;
    return own->revoked_generation == own_generation && own->revoked_remote == from_generation &&
           network_.now() - own->revoked_at < network_.options().reset_leaks_for;
}

bool SimFabric::post_write(ReplicaId peer, Link link, std::uint64_t remote_offset, Bytes local, WorkId id,
                           bool more) {
    End& own = end(peer, link);
    Work* work = post(own, peer, link, local.size());
    if (!work)
        return false;
    stats_.bytes += local.size();
    work->id = id;
    work->source = local.data();
    work->offset = remote_offset;
    const Acknowledgement when = network_.options().acknowledgement;
    work->silent = more || when != Acknowledgement::placed;
    if (more)
        return true; // the next piece's completion stands for both
    if (when == Acknowledgement::sent) {
        announce(own, peer, link, network_.now() + 1us, sent);
    } else if (when == Acknowledgement::confirmed) {
        Work* proof = post(own, peer, link, sizeof(std::uint64_t));
        proof->id = id;
        proof->offset = remote_offset;
        proof->is_read = true;
    }
    return true;
}

bool SimFabric::post_read(ReplicaId peer, Link link, std::uint64_t remote_offset, std::span<std::byte> local,
                          WorkId id) {
    Work* work = post(end(peer, link), peer, link, local.size());
    if (!work)
        return false;
    work->id = id;
    work->target = local.data();
    work->offset = remote_offset;
    work->is_read = true;
    return true;
}

SimFabric::Work* SimFabric::post(End& own, ReplicaId peer, Link link, std::size_t size) {
    if (own.remote == 0 || own.failed)
        return nullptr;
    ++stats_.work_requests;
    ++stats_.doorbells;
    const NetworkOptions& options = network_.options();
    Work& work = own.works.add();
    work.target = nullptr;
    work.size = size;
    work.landed = 0;
    work.is_read = work.silent = false;
    work.ready = network_.now() + random_.between(options.latency_min, options.latency_max) +
                 network_.delay_[self_.value()][peer.value()];
    if (random_.chance(options.slow_probability))
        work.ready += random_.between(0ns, options.slow_max);
    work.give_up = work.ready + options.retry_time;
    if (!own.moving) {
        own.moving = true;
        announce(own, peer, link, own.works.to_land().ready, move);
    }
    return &work;
}

void SimFabric::announce(const End& own, ReplicaId peer, Link link, Nanoseconds when, What what) {
    network_.at(when, handler_, what, pack(own.generation, peer, link));
}

void SimFabric::on_event(std::uint32_t what, std::uint64_t value) {
    if (what == straggle)
        return arrive(stragglers_[value]);
    const ReplicaId peer(static_cast<std::uint8_t>(value >> 1 & 0x3f));
    const Link link = static_cast<Link>(value & 1);
    End& own = *find(peer, link);
    if (own.generation != value >> 8 || own.failed)
        return;
    if (what == move) {
        own.moving = false;
        move_on(own, peer, link);
    } else if (what == sent)
        complete(peer, link, own.works.next_sent().id, true);
    else
        finish(own, peer, link);
}

// One packet of the oldest work that has not landed.
void SimFabric::move_on(End& own, ReplicaId peer, Link link) {
    if (own.works.all_landed() || own.failed)
        return;
    Work& work = own.works.to_land();
    Nanoseconds next = work.ready;
    if (network_.now() >= work.ready) {
        const NetworkOptions& options = network_.options();
        SimFabric* other = network_.fabric_of(peer);
        if (!other || !network_.reachable(self_, peer) ||
            !other->accepts(self_, link, own.generation, own.remote)) {
            if (network_.now() >= work.give_up)
                return fail(own, peer, link);
            next = network_.now() + options.retry_interval;
        } else {
            work.give_up = network_.now() + options.retry_time;
            land(own, peer, link, *other);
            if (own.failed || own.works.all_landed())
                return;
            next = std::max(network_.now() + options.packet_gap, own.works.to_land().ready);
        }
    }
    if (!own.moving) {
        own.moving = true;
        announce(own, peer, link, next, move);
    }
}

void SimFabric::land(End& own, ReplicaId peer, Link link, SimFabric& other) {
    const NetworkOptions& options = network_.options();
    Work& work = own.works.to_land();
    const auto region = other.regions_[static_cast<std::size_t>(link)];
    if (work.offset + work.size > region.size())
        return fail(own, peer, link);
    if (work.is_read) {
        work.fetched.assign(region.begin() + static_cast<std::ptrdiff_t>(work.offset),
                            region.begin() + static_cast<std::ptrdiff_t>(work.offset + work.size));
        work.landed = work.size;
    } else {
        std::size_t length = std::min(work.size - work.landed, options.packet_bytes);
        const bool tear = own.tear_next && (work.landed > 0 || work.size <= options.packet_bytes);
        if (tear)
            length = random_.draw(length) / 8 * 8;
        std::memcpy(region.data() + work.offset + work.landed, work.source + work.landed, length);
        work.landed += length;
        if (network_.observer)
            network_.observer->on_landed(peer, self_, link, work.landed == work.size);
        if (tear)
            return fail(own, peer, link);
    }
    if (work.landed < work.size)
        return;
    own.works.landed();
    own.last_ack =
        std::max(own.last_ack + 1ns, network_.now() + random_.between(options.latency_min, options.latency_max) +
                                         network_.delay_[peer.value()][self_.value()]);
    announce(own, peer, link, own.last_ack, acknowledge);
}

void SimFabric::finish(End& own, ReplicaId peer, Link link) {
    const NetworkOptions& options = network_.options();
    const bool lost =
        options.lost_acknowledgement_probability > 0 && random_.chance(options.lost_acknowledgement_probability);
    if (lost || !network_.reachable(peer, self_)) {
        send_again(own, peer, link);
        return fail(own, peer, link); // landed, but nobody will ever tell us
    }
    Work& work = own.works.first();
    if (work.target)
        std::memcpy(work.target, work.fetched.data(), work.size);
    const bool report = !work.silent;
    own.works.pop();
    if (report)
        complete(peer, link, work.id, true);
}

// Without an acknowledgement a queue pair sends everything once more, from what lies in its memory now.
void SimFabric::send_again(End& own, ReplicaId peer, Link link) {
    SimFabric* other = network_.fabric_of(peer);
    const Work& work = own.works.first();
    if (!work.is_read && other && network_.reachable(self_, peer) &&
        other->accepts(self_, link, own.generation, own.remote)) {
        std::memcpy(other->regions_[static_cast<std::size_t>(link)].data() + work.offset, work.source, work.size);
        if (network_.observer)
            network_.observer->on_landed(peer, self_, link, true);
    }
}

void SimFabric::fail(End& own, ReplicaId peer, Link link) {
    const WorkId id = own.works.none() ? 0 : own.works.first().id;
    own.failed = true;
    own.works.clear();
    complete(peer, link, id, false);
}

void SimFabric::fail_link(ReplicaId peer, Link link) {
    if (End* own = find(peer, link); own && own->remote != 0 && !own->failed)
        fail(*own, peer, link);
}

void SimFabric::tear_next_write(ReplicaId peer, Link link) {
    if (End* own = find(peer, link); own && own->remote != 0)
        own->tear_next = true;
}

void SimFabric::complete(ReplicaId peer, Link link, WorkId id, bool ok) {
    completions_[static_cast<std::size_t>(link)].push_back({id, peer, link, ok});
    if (network_.observer)
        network_.observer->on_completion(self_, link);
}

std::size_t SimFabric::poll(Link link, std::span<Completion> out) {
    auto& queue = completions_[static_cast<std::size_t>(link)];
    const std::size_t count = std::min(out.size(), queue.size());
    std::copy_n(queue.begin(), count, out.begin());
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
}

} // namespace rdma_paxos::sim
