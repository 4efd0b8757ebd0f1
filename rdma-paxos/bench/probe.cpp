// SPDX-License-Identifier: Apache-2.0
#include "../bench/probe.h"

#include <algorithm>
#include <atomic>

namespace rdma_paxos::bench {

using namespace std::chrono_literals;

Probe::Probe(Fabric& fabric, Rendezvous& rendezvous, ReplicaId self, const std::vector<ReplicaId>& others)
    : fabric_(fabric), rendezvous_(rendezvous), self_(self),
      ring_(fabric.region(Region::board).subspan(ring_offset, ring_bytes)) {
    for (const ReplicaId id : others) {
        peers_.push_back({id, Handshake(fabric, id, Link::board), {}});
        (void)peers_.back().link.cut();
    }
}

void Probe::keep_links() {
    const Nanoseconds time = monotonic_now();
    rendezvous_.receive(time, [this](ReplicaId from, const RendezvousMessage& message) {
        for (Peer& peer : peers_)
            if (peer.id == from)
                peer.offer = message.board;
    });
    const bool greet = time >= next_greeting_;
    if (greet)
        next_greeting_ = time + 100ms;
    for (Peer& peer : peers_) {
        const bool changed = self_ < peer.id ? peer.link.drive(peer.offer) : peer.link.follow(peer.offer);
        if (changed || greet)
            rendezvous_.send(peer.id, {.incarnation = 1, .ring_bytes = 0, .board = peer.link.offer()});
    }
}

bool Probe::ready() const {
    return std::all_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.link.both_up(); });
}

bool Probe::post(const Peer& peer, Bytes source, std::size_t offset) {
    const bool posted = fabric_.post_write(peer.id, Link::board, offset, source, 1);
    outstanding_ += posted;
    return posted;
}

bool Probe::wait_for(std::size_t completions) {
    std::array<Completion, 8> done;
    while (completions > 0) {
        const std::size_t count = fabric_.poll(Link::board, done);
        outstanding_ -= count;
        for (std::size_t i = 0; i < count; ++i)
            if (!done[i].ok)
                return false;
        completions -= std::min(completions, count);
    }
    return true;
}

void Probe::flush_queues() {
    for (const Peer& peer : peers_)
        (void)post(peer, fabric_.region(Region::outbox).first(64), 0);
    while (outstanding_ > 0)
        (void)wait_for(outstanding_);
}

std::optional<Nanoseconds> Probe::single_write(std::size_t bytes) {
    const Nanoseconds begun = monotonic_now();
    if (!post(peers_.front(), fabric_.region(Region::outbox).first(bytes), 0) || !wait_for(1))
        return std::nullopt;
    return monotonic_now() - begun;
}

std::optional<Nanoseconds> Probe::fan_out(std::size_t bytes) {
    return fan_out_from(fabric_.region(Region::outbox).first(bytes), 0);
}

std::optional<Nanoseconds> Probe::log_fan_out(Bytes body) {
    const Cursor before = end_;
    end_ = ring_.append(before, Term(1), before.index, EntryKind::user, body);
    const std::uint64_t bytes = sizeof(EntryHeader) + padded(body.size());
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::size_t offset = ring_offset + ring_.offset_of(end_.position - bytes);
    return fan_out_from(fabric_.region(Region::board).subspan(offset, bytes), offset);
}

void Probe::read_along() {
    end_ = ring_.scan(end_);
}

std::optional<Nanoseconds> Probe::fan_out_from(Bytes source, std::size_t offset) {
    const Nanoseconds begun = monotonic_now();
    for (const Peer& peer : peers_)
        if (!post(peer, source, offset))
            return std::nullopt;
    if (!wait_for((peers_.size() + 1) / 2)) // with ourselves, a majority
        return std::nullopt;
    const Nanoseconds taken = monotonic_now() - begun;
    if (!wait_for(outstanding_))
        return std::nullopt;
    return taken;
}

} // namespace rdma_paxos::bench
