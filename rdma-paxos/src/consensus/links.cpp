// SPDX-License-Identifier: Apache-2.0
//
// Board links, the rows on both boards, and what the fabric reports.
#include "consensus/replica_impl.h"

#include "consensus/shared_bytes.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos {

// The rendezvous may need system calls, so a leader that ticks in a tight loop does not ask it every time.
void Replica::Impl::meet_peers() {
    if (now_ < next_meeting_)
        return;
    next_meeting_ = now_ + config_.timing.follower_poll;
    rendezvous_.receive(now_, [this](ReplicaId from, const RendezvousMessage& message) {
        Peer* peer = find(from);
        if (!peer || message.incarnation == 0)
            return;
        if (peer->incarnation == 0)
            peer->incarnation = message.incarnation;
        // The memory that we counted on is gone: whoever comes back under its name must not be counted.
        if (peer->incarnation != message.incarnation) {
            peer->replaced = true;
            return;
        }
        peer->board_offer = message.board;
    });
    for (Peer& peer : peers_)
        keep_board_link(peer);
}

void Replica::Impl::keep_board_link(Peer& peer) {
    const bool drives = config_.self < peer.id;
    const bool was_up = peer.board.up();
    const bool changed = drives ? peer.board.drive(peer.board_offer) : peer.board.follow(peer.board_offer);
    if (changed) {
        peer.row_in_flight = false;
        peer.row_due = true;
        if (peer.board.up() && !was_up) {
            counters_.reconnects += peer.was_board_up;
            peer.was_board_up = true;
        }
    }
    if (changed || now_ >= peer.next_greeting) {
        rendezvous_.send(peer.id, {incarnation_, peer.board.offer()});
        // Once connected, offers are repeated only for a peer that lost its end without our noticing.
        peer.next_greeting = now_ + config_.timing.link_retry * (peer.board.up() ? 4 : 1);
    }
}

void Replica::Impl::lose_board_link(Peer& peer) {
    (void)peer.board.cut(); // if it fails now, drive() and follow() try again
    // Connecting to a host that is gone can block in the kernel (address resolution): wait for a fresh offer.
    peer.board_offer = {};
    peer.row_in_flight = false;
    peer.row_due = true;
    peer.next_greeting = next_meeting_ = never;
}

void Replica::Impl::lose_log_link(Peer& peer) {
    (void)peer.log.cut();
    peer.sending = false;
    peer.log_lost = now_;
    peer.in_flight.clear();
    peer.cell_in_flight = false;
    peer.row_due = true;
}

void Replica::Impl::poll_completions() {
    std::array<Completion, 32> done;
    for (const Link link : {Link::log, Link::board})
        for (;;) {
            const std::size_t count = fabric_.poll(link, done);
            for (std::size_t i = 0; i < count; ++i)
                if (Peer* peer = find(done[i].peer))
                    complete(*peer, done[i]);
            if (count < done.size())
                break;
        }
}

void Replica::Impl::complete(Peer& peer, const Completion& completion) {
    if (!completion.ok) {
        if (completion.link == Link::board) {
            lose_board_link(peer);
        } else {
            adoption_failed_ |= adopting_from_ == peer.id;
            lose_log_link(peer);
        }
        return;
    }
    switch (static_cast<Work>(completion.id)) {
    case Work::cell:
        peer.cell_in_flight = false;
        peer.cell_completed = std::max(peer.cell_completed, peer.cell_posted);
        break;
    case Work::entries:
        if (!peer.in_flight.empty()) {
            peer.acked = std::max(peer.acked, peer.in_flight.front());
            peer.in_flight.erase(peer.in_flight.begin());
        }
        break;
    case Work::adoption:
        if (reads_in_flight_ > 0)
            --reads_in_flight_;
        break;
    case Work::row:
        peer.row_in_flight = false;
        break;
    }
}

void Replica::Impl::read_board() {
    for (Peer& peer : peers_) {
        const std::byte* slot = board_memory_.data() + peer.slot * row_slot;
        if (std::memcmp(peer.row_image.data(), slot, sizeof(std::uint64_t)) == 0)
            continue; // the same checksum: nothing new
        RowImage image;
        copy_shared(image.data(), slot, image.size());
        const auto row = decode_row(image, salt_, peer.id);
        if (!row || row->beat <= peer.row.beat)
            continue; // torn: the rest is still arriving
        peer.row_image = image;
        if (row->incarnation == peer.incarnation && !peer.replaced)
            accept_row(peer, *row);
    }
}

void Replica::Impl::accept_row(Peer& peer, const Row& row) {
    peer.row = row;
    peer.last_heard = now_;
    if (row.role == Role::leader && row.has_quorum && row.term >= term_)
        hear_leader(peer.id);
}

void Replica::Impl::rows_changed() {
    for (Peer& peer : peers_)
        peer.row_due = true;
}

Row Replica::Impl::own_row(const Peer& peer) const {
    Row row;
    row.incarnation = incarnation_;
    row.beat = beat_;
    row.term = term_;
    row.role = role_;
    row.has_quorum = role_ == Role::leader && has_quorum(config_.timing.election_timeout_max);
    row.voted_for = voted_for_;
    row.granted_to = granted_to_;
    row.doubt = doubt_;
    row.shares_doubt_of = shares_doubt_of_;
    row.shared_doubt = shared_doubt_;
    row.end_index = end_.index;
    row.end_term = end_.term;
    row.end_position = end_.position;
    row.end_check = end_.check;
    row.commit_index = commit_.index;
    row.commit_term = commit_.term;
    row.commit_position = commit_.position;
    row.commit_check = commit_.check;
    row.applied_index = applied_.index;
    row.applied_position = applied_.position;
    row.log_link = peer.log.offer();
    return row;
}

void Replica::Impl::write_rows() {
    for (Peer& peer : peers_) {
        if (!peer.board.up() || peer.row_in_flight || (!peer.row_due && now_ < peer.next_row))
            continue;
        ++beat_;
        const RowImage image = encode_row(own_row(peer), salt_, config_.self);
        const auto source = outbox_.subspan(peer.slot * row_slot, image.size());
        std::memcpy(source.data(), image.data(), image.size());
        if (!fabric_.post_write(peer.id, Link::board, own_slot_ * row_slot, source,
                                static_cast<WorkId>(Work::row))) {
            lose_board_link(peer);
            continue;
        }
        ++counters_.row_writes;
        peer.row_in_flight = true;
        peer.row_due = false;
        peer.next_row = now_ + config_.timing.heartbeat;
        applied_published_ = applied_.position;
    }
}

} // namespace rdma_paxos
