// SPDX-License-Identifier: Apache-2.0
#include "../bench/station.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sched.h>

namespace rdma_paxos::bench {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view command_mark = "\x01rdma-paxos-bench: ";

} // namespace

bool Watcher::on_commit(Index, Term, Bytes body) {
    const std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
    if (!text.starts_with(command_mark))
        return true;
    const std::string_view what = text.substr(command_mark.size());
    stop |= what == "stop 0";
    die |= what == fmt::format("die {}", self_);
    return true;
}

void Watcher::on_role(Role role, Term) {
    if (role == Role::candidate)
        candidate_at = tick_begun;
    if (role == Role::leader)
        leader_at = monotonic_now();
}

tl::expected<std::unique_ptr<Station>, Error> Station::open(const MemberOptions& options) {
    auto station = std::make_unique<Station>(options.id);
    auto member = Member::create(options, station->watcher);
    if (!member)
        return tl::make_unexpected(member.error());
    station->member = std::move(*member);
    auto links = station->member->more_links(Probe::layout(), "probes");
    if (!links)
        return tl::make_unexpected(links.error());
    station->probe_fabric = std::move(links->fabric);
    station->probe_rendezvous = std::move(links->rendezvous);
    station->probe =
        std::make_unique<Probe>(*station->probe_fabric, *station->probe_rendezvous,
                                ReplicaId(static_cast<std::uint8_t>(options.id)), station->member->others());
    return station;
}

std::atomic<bool> Station::abandoned{false};

void Station::tick() {
    watcher.tick_begun = monotonic_now();
    replica().tick(watcher.tick_begun);
}

tl::expected<void, Error> Station::gather() {
    const Nanoseconds limit = monotonic_now() + 60s;
    const auto complete = [&] {
        if (replica().role() != Role::leader || !probe->ready())
            return false;
        for (const ReplicaId id : member->others())
            if (!replica().peer(id).log_up)
                return false;
        return true;
    };
    while (!complete()) {
        tick();
        probe->keep_links();
        member->wait_until(replica().next_deadline());
        if (monotonic_now() > limit) {
            std::string what =
                fmt::format("the group did not come together within a minute: this member is {}, probes {}",
                            to_string(replica().role()), probe->ready() ? "connected" : "not connected");
            for (const ReplicaId id : member->others()) {
                const PeerStatus peer = replica().peer(id);
                what += fmt::format("; {}: {}{}{}{}{}", id.value(), peer.alive ? "alive" : "silent",
                                    peer.board_up ? ", board" : "", peer.log_up ? ", log" : "",
                                    peer.lagging ? ", lagging" : "", peer.replaced ? ", replaced" : "");
            }
            return tl::make_unexpected(Error{what});
        }
    }
    return {};
}

void Station::drain() {
    const Index last = replica().last_index();
    const auto all_have_it = [&] {
        for (const ReplicaId id : member->others()) {
            const PeerStatus peer = replica().peer(id);
            if (peer.log_up && peer.acked < last)
                return false;
        }
        return replica().commit_index() >= last;
    };
    while (replica().role() == Role::leader && !all_have_it())
        replica().tick(monotonic_now());
}

void Station::command(std::string_view what, unsigned member_id) {
    const std::string text = fmt::format("{}{} {}", command_mark, what, member_id);
    Index index;
    const auto accepted = [&] {
        if (index == Index())
            index = replica().propose(std::as_bytes(std::span(text))).value_or(Index());
        return index != Index();
    };
    const auto heard = [&] {
        return std::ranges::all_of(member->others(), [&](ReplicaId id) {
            const PeerStatus peer = replica().peer(id);
            return !peer.log_up || peer.applied >= index;
        });
    };
    for (const Nanoseconds end = monotonic_now() + 20s; (!accepted() || !heard()) && monotonic_now() < end;) {
        tick();
        member->wait_until(std::min(replica().next_deadline(), monotonic_now() + 1ms));
    }
}

bool Station::follow() {
    Nanoseconds leave = Nanoseconds::max();
    while (monotonic_now() < leave && !abandoned) {
        tick();
        probe->keep_links();
        probe->read_along();
        if (watcher.die) {
            vanish();
            return false;
        }
        if (replica().role() == Role::leader)
            return false;
        if (watcher.stop && leave == Nanoseconds::max())
            leave = monotonic_now() + 500ms; // the leader must hear that we have it
        watcher.tick_begun = monotonic_now();
        member->wait_until(std::min(replica().next_deadline(), monotonic_now() + 50ms));
        probe->read_along(); // as often as the replica has looked at its own log
    }
    return true;
}

void Station::vanish() {
    for (const ReplicaId id : member->others())
        for (const Link link : {Link::log, Link::board})
            for (Fabric* fabric : {&member->fabric(), probe_fabric.get()})
                while (!fabric->reset(id, link))
                    sched_yield();
}

} // namespace rdma_paxos::bench
