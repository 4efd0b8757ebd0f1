// SPDX-License-Identifier: Apache-2.0
//
// Board links, the rows on both boards, and what the fabric reports.
#include "consensus/replica_impl.h"

#include "consensus/shared_bytes.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rdma_paxos {

// The rendezvous may need system calls, so a leader that ticks in a tight loop does not ask it every time. Peers
// come and go only here, where nobody holds on to one.
void Replica::Impl::meet_peers() {
    if (now_ < next_meeting_)
        return;
    next_meeting_ = now_ + config_.timing.follower_poll;
    for (const MemberSet* set : {&membership_.voters, &membership_.target})
        for (const Member& member : *set)
            meet(member.id);
    rendezvous_.receive(now_, [this](ReplicaId from, const RendezvousMessage& message) {
        meet(from); // whoever the rendezvous lets through may become a member
        Peer* peer = find(from);
        if (!peer || message.incarnation == 0)
            return;
        if (peer->life != message.incarnation) {
            const auto& past = peer->past_lives;
            if (std::find(past.begin(), past.end(), message.incarnation) != past.end())
                return;
            begin_life(*peer, message.incarnation);
        }
        peer->last_met = now_;
        if (has_same_ring(*peer, message.ring_bytes))
            peer->board_offer = message.board;
    });
    forget_strangers();
    for (Peer& peer : peers_)
        keep_board_link(peer);
}

void Replica::Impl::meet(ReplicaId id) {
    if (id == nobody || id.value() > max_replica_id || id == config_.self || find(id) || !fabric_.add_peer(id))
        return;
    Peer& peer = peers_.emplace_back(fabric_, id);
    peer.in_flight.reserve(config_.max_in_flight);
    peer.last_met = now_;
    (void)peer.board.cut();
    (void)peer.log.cut();
    recount();
}

// What one of us wrote into the other's ring would lie where nobody looks for it. Both see it, by the other's
// offers.
bool Replica::Impl::has_same_ring(Peer& peer, std::uint64_t ring_bytes) {
    if (ring_bytes == ring_.size())
        return true;
    if (peer.refused_ring == 0) {
        peer.refused_ring = ring_bytes;
        ++counters_.refusals;
        listener_.on_refused(
            peer.id,
            {fmt::format("replica {} keeps a ring of {} bytes, replica {} one of {}: they are not connected. "
                         "All members of a group need the same ring_bytes",
                         peer.id.value(), ring_bytes, config_.self.value(), ring_.size())});
    }
    return false;
}

// Another process stands behind that id now. Nothing that the one before told, or acknowledged, holds for it;
// whether it has the same memory, its first row will say.
void Replica::Impl::begin_life(Peer& peer, std::uint64_t life) {
    remember_lease();
    if (peer.life != 0) {
        std::rotate(peer.past_lives.begin(), peer.past_lives.end() - 1, peer.past_lives.end());
        peer.past_lives.front() = peer.life;
        lose_board_link(peer);
        lose_log_link(peer);
    }
    peer.life = life;
    peer.incarnation = 0;
    peer.refused_ring = 0;
    peer.row = {};
    peer.last_heard = never;
    peer.sent = peer.acked = 0;
    peer.lagging = peer.had_gap = false;
    peer.cell_posted = peer.cell_completed = never;
    adoption_failed_ |= adopting_from_ == peer.id;
    recount();
}

// Who is no member, and has not called for long, is not waited for.
void Replica::Impl::forget_strangers() {
    std::erase_if(peers_, [this](Peer& peer) {
        const bool wanted =
            membership_.find(peer.id) || committed_membership_.find(peer.id) ||
            std::find(config_.members.begin(), config_.members.end(), peer.id) != config_.members.end() ||
            granted_to_ == peer.id || adopting_from_ == peer.id;
        if (wanted || now_ - peer.last_met < 20 * config_.timing.election_timeout_max)
            return false;
        fabric_.remove_peer(peer.id);
        return true;
    });
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
        rendezvous_.send(peer.id, {life_, ring_.size(), peer.board.offer()});
        // Once connected, offers are repeated only for a peer that lost its end without our noticing.
        peer.next_greeting = now_ + config_.timing.link_retry * (peer.board.both_up() ? 4 : 1);
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

// Whatever was on its way to it is nothing that we still wait for.
void Replica::Impl::stop_sending(Peer& peer) {
    peer.sending = false;
    peer.log_lost = now_;
    peer.in_flight.clear();
    peer.cell_in_flight = false;
}

void Replica::Impl::lose_log_link(Peer& peer) {
    (void)peer.log.cut();
    stop_sending(peer);
    peer.row_due = true;
    next_look_ = never;
}

void Replica::Impl::poll_completions(Link link) {
    for (;;) {
        const std::size_t count = fabric_.poll(link, polled_);
        for (std::size_t i = 0; i < count; ++i)
            if (Peer* peer = find(polled_[i].peer))
                complete(*peer, polled_[i]);
        if (count < polled_.size())
            return;
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
            peer.delivered = peer.in_flight.front();
            peer.acked = std::max(peer.acked, peer.delivered);
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
        const std::byte* slot = board_memory_.data() + row_offset(peer.id);
        if (std::memcmp(peer.row_image.data(), slot, sizeof(std::uint64_t)) == 0)
            continue; // the same checksum: nothing new
        RowImage image;
        copy_shared(image.data(), slot, image.size());
        const auto row = decode_row(image, salt_, peer.id);
        if (!row || row->beat <= peer.row.beat)
            continue; // torn: the rest is still arriving
        if (row->life != peer.life)
            continue; // of a life that is over, or that the rendezvous has not told of yet
        peer.row_image = image;
        accept_row(peer, *row);
    }
}

void Replica::Impl::accept_row(Peer& peer, const Row& row) {
    const bool identified = peer.incarnation != row.incarnation || peer.row.newcomer != row.newcomer;
    peer.row = row;
    peer.last_heard = now_;
    peer.board.heard();
    if (identified) {
        peer.incarnation = row.incarnation;
        if (peer.first_incarnation == 0)
            peer.first_incarnation = row.incarnation;
        recount();
    }
    if (row.role == Role::leader && row.has_quorum && row.term >= term_)
        hear_leader(peer.id, row.term);
}

void Replica::Impl::rows_changed() {
    for (Peer& peer : peers_)
        peer.row_due = true;
}

Row Replica::Impl::own_row(const Peer& peer) const {
    Row row;
    row.life = life_;
    row.incarnation = incarnation_;
    row.beat = beat_;
    row.term = term_;
    row.role = role_;
    row.has_quorum = role_ == Role::leader && has_quorum(config_.timing.election_timeout_max);
    row.newcomer = newcomer_;
    row.cannot_lead = !may_stand();
    row.witness = witness_;
    row.suspect = suspect_;
    row.handed_over = handed_over_;
    row.dismissed = role_ == Role::leader && !peer.listed && membership_.index <= commit_.index;
    row.left_behind = role_ == Role::leader && peer.lagging;
    row.released = candidacy_released_;
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
    row.applied_position = released();
    row.durable_position = durable_.position;
    row.durable_term = durable_.term;
    row.lost_membership = lost_membership_;
    row.log_link = peer.log.offer();
    return row;
}

void Replica::Impl::write_rows() {
    if (storage_ && !store_state())
        return; // what a row says must not be forgotten
    for (Peer& peer : peers_) {
        const bool open = planted_bugs.half_links ? peer.board.up() : peer.board.both_up();
        if (!open || peer.row_in_flight || (!peer.row_due && now_ < peer.next_row))
            continue;
        ++beat_;
        const RowImage image = encode_row(own_row(peer), salt_, config_.self);
        const auto source = outbox_.subspan(row_offset(peer.id), image.size());
        std::memcpy(source.data(), image.data(), image.size());
        if (!fabric_.post_write(peer.id, Link::board, row_offset(config_.self), source,
                                static_cast<WorkId>(Work::row))) {
            lose_board_link(peer);
            continue;
        }
        ++counters_.row_writes;
        peer.row_in_flight = true;
        peer.row_due = false;
        peer.next_row = now_ + config_.timing.heartbeat;
        applied_published_ = released();
    }
}

} // namespace rdma_paxos
