// SPDX-License-Identifier: Apache-2.0
#include "vm/primary_vm.h"

#include <thread>

#include "base/log.h"
#include "net/links.h"

namespace tripod::vm {

namespace {

constexpr Milliseconds clock_sample_interval{500};
constexpr Milliseconds dissolve_timeout{5000};
constexpr Milliseconds handover_timeout{10'000};
constexpr Milliseconds hearing_timeout{3'000};
constexpr Milliseconds look_interval{20};

} // namespace

PrimaryVm::PrimaryVm(Context& context, xen::DomainConfig config, DomId domid, peer::GroupKey group_key,
                     std::map<int, std::string> bridges)
    : ReplicaVm(context, config.name, group_key), config_(std::move(config)), bridges_(std::move(bridges)) {
    domid_ = domid;
}

PrimaryVm::~PrimaryVm() {
    if (group_)
        group_->stop();
}

Result<void> PrimaryVm::enable(const tripod_profile& profile, uint32_t ring_pages) {
    auto xen = XenSide::enable(context_, domid_, profile, ring_pages);
    if (!xen)
        return tl::unexpected(xen.error());
    group_->run([&](rdma_paxos::Replica*) { // against status() on another thread
        xen_ = std::move(*xen);
        pump_ = std::make_unique<replicate::PrimaryPump>(xen_->memory(), xen_->channel(), clock_);
        group_->watch_channel(&xen_->channel());
    });
    return {};
}

Result<void> PrimaryVm::start(const std::vector<group::Member>& members, const peer::Timing& timing,
                              uint64_t log_bytes) {
    const uint8_t self = members.front().id;
    return start_group(members, self, self, timing, log_bytes,
                       [this](rdma_paxos::Replica& replica, std::chrono::nanoseconds now) { watch(replica, now); });
}

Result<void> PrimaryVm::wait_for_leadership(Milliseconds timeout, Progress& progress) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (true) {
        bool leads = false;
        std::string missing, turned_away;
        group_->run([&](rdma_paxos::Replica* replica) {
            leads = replica != nullptr && replica->role() == rdma_paxos::Role::leader;
            // All of them, though a majority would do: a link that never worked is better found now.
            for (const auto& member : members_)
                if (replica != nullptr && member.id != self_ &&
                    !replica->peer(rdma_paxos::ReplicaId(member.id)).log_up)
                    missing += " " + member.host;
            turned_away = group_->rendezvous_stats().last_rejection;
        });
        if (leads && missing.empty())
            return {};
        if (progress.cancelled())
            return fail(ErrorCode::cancelled, "cancelled");
        if (std::chrono::steady_clock::now() >= until)
            return fail(
                ErrorCode::timed_out,
                (leads ? "no RDMA connection to" + missing : "the group of " + name_ + " found no leader") +
                    (turned_away.empty() ? "" : "; " + turned_away),
                "check the RDMA network between the hosts (rdma_device in tripod.conf), and that all of them "
                "have the same key (cluster_key_file)");
        std::this_thread::sleep_for(look_interval);
    }
}

Result<void> PrimaryVm::record_from_here() {
    Result<void> done;
    group_->run([&](rdma_paxos::Replica*) { done = xen_->set_mode(TRIPOD_MODE_record, 0); });
    return done;
}

void PrimaryVm::established() {
    established_ = true;
    event(event::protected_);
}

void PrimaryVm::abandon() {
    if (group_)
        group_->stop();
    if (xen_)
        if (auto done = xen_->disable(); !done)
            log::error("{}: {}", name_, done.error().message);
    finish();
}

Result<void> PrimaryVm::dissolve(Progress& progress) {
    const auto no_majority = [&] {
        return fail(ErrorCode::not_now,
                    "no majority of " + name_ + "'s group answers, so a backup may be taking it over",
                    "bring a backup host back, or destroy the VM here");
    };
    bool proposed = false;
    group_->run([&](rdma_paxos::Replica* replica) {
        proposed = replica != nullptr && replica->role() == rdma_paxos::Role::leader &&
                   replica->propose(replicate::encode_dissolved()).has_value();
    });
    if (!proposed)
        return no_majority();
    const auto until = std::chrono::steady_clock::now() + dissolve_timeout;
    // The commit itself frees the VM, in watch(); what remains is to let the backups hear of it.
    bool decided = false, heard = false;
    while (!(decided && heard) && std::chrono::steady_clock::now() < until) {
        group_->run([&](rdma_paxos::Replica* replica) {
            decided = pump_->dissolved();
            heard = true;
            for (const auto& member : members_) {
                const auto peer = replica->peer(rdma_paxos::ReplicaId(member.id));
                if (member.id != self_ && peer.alive && peer.applied < replica->commit_index())
                    heard = false;
            }
        });
        std::this_thread::sleep_for(look_interval);
    }
    if (!decided)
        return no_majority(); // it may still be decided later, and watch() then frees the VM
    if (!heard)
        progress.say(
            "not every backup host has heard of it; \"tripod unprotect\" there removes a copy that is left");
    abandon();
    event(event::unprotected);
    return {};
}

// On the group's thread.
void PrimaryVm::watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now) {
    const bool leading = replica.role() == rdma_paxos::Role::leader;
    if (leading && (!clock_.valid() || now - clock_.sampled_at() >= clock_sample_interval)) {
        const auto before = group::monotonic_now();
        if (const auto status = xen_->status())
            clock_.sample(before, status->now_ns, group::monotonic_now());
    }
    if (over_)
        return;
    if (pump_->dissolved()) {
        over_ = true;
        if (auto done = xen_->disable(); !done)
            log::error("{}: {}", name_, done.error().message);
        return;
    }
    if (const auto other = pump_->promoted()) {
        over_ = true;
        give_up_to(host_of(rdma_paxos::ReplicaId(*other)));
        return;
    }
    if (pump_->broken() && !told_broken_) {
        told_broken_ = true;
        event(event::failed, *pump_->broken());
    }
    if (leading != was_leading_ && established_) {
        // Xen holds the guest's outputs back by the lease; what the guest kernel sends by itself is stopped here.
        event(leading ? "leading" : "fenced");
        set_network(leading && !pump_->handing_over());
    }
    was_leading_ = leading;
    if (leading)
        watch_backups(replica);
}

void PrimaryVm::watch_backups(rdma_paxos::Replica& replica) {
    for (const auto& member : members_) {
        if (member.id == self_ || !established_)
            continue;
        const bool alive = replica.peer(rdma_paxos::ReplicaId(member.id)).alive;
        if (!alive && lost_.insert(member.id).second)
            event(event::backup_lost, member.host);
        else if (alive && lost_.erase(member.id) != 0)
            event("backup_back", member.host);
    }
}

void PrimaryVm::set_network(bool on) {
    network_wanted_ = on;
    context_.tasks.start("net:" + name_, [self = shared_from_this(), this] { move_network(); });
}

void PrimaryVm::move_network() {
    const std::lock_guard lock(network_mutex_);
    for (const auto& [devid, bridge] : bridges_) {
        const auto& wanted = network_wanted_ ? bridge : context_.config.isolated_bridge;
        if (auto moved = net::move_to_bridge(xen::Vif::device_name(domid_, devid), wanted); !moved)
            log::error("{}: {}", name_, moved.error().message);
    }
}

Result<void> PrimaryVm::check_successor(uint8_t to) {
    Result<void> able;
    group_->run([&](rdma_paxos::Replica* replica) {
        const std::string host = host_of(rdma_paxos::ReplicaId(to));
        if (!established_ || replica == nullptr || replica->role() != rdma_paxos::Role::leader || pump_->broken() ||
            pump_->closed() || pump_->handing_over()) {
            able = fail(ErrorCode::not_now, name_ + " cannot be handed over: its group has no leader here");
            return;
        }
        const auto peer = replica->peer(rdma_paxos::ReplicaId(to));
        if (host.empty() || to == self_ || !peer.alive || peer.lagging || peer.replaced)
            able = fail(ErrorCode::not_now, host + " does not follow the log of " + name_);
        else if (diverged_.contains(host))
            able = fail(ErrorCode::not_now, "the replica of " + name_ + " on " + host + " strayed from the log");
    });
    return able;
}

// Nothing leaves this VM any more before the word is proposed that lets another one speak: neither what its
// processes send (the lease is taken back) nor what its kernel sends (the vifs are moved away).
Result<void> PrimaryVm::hand_over(uint8_t to) {
    if (auto able = check_successor(to); !able)
        return able;
    event("handover", host_of(rdma_paxos::ReplicaId(to)));
    bool proposing = false;
    group_->run([&](rdma_paxos::Replica*) { pump_->hold_outputs(true); });
    network_wanted_ = false;
    move_network();
    auto able = check_successor(to);
    group_->run([&](rdma_paxos::Replica* replica) {
        proposing = able && replica != nullptr && replica->role() == rdma_paxos::Role::leader;
        if (proposing)
            pump_->hand_over(to);
        else
            pump_->hold_outputs(false);
    });
    if (!proposing) {
        set_network(true);
        return able ? fail(ErrorCode::not_now, name_ + " has lost its leadership") : able;
    }
    const auto until = std::chrono::steady_clock::now() + handover_timeout;
    while (std::chrono::steady_clock::now() < until) {
        std::optional<uint8_t> decided;
        group_->run([&](rdma_paxos::Replica*) { decided = pump_->promoted(); });
        if (decided == to)
            return {};
        if (decided)
            return fail(ErrorCode::not_now, host_of(rdma_paxos::ReplicaId(*decided)) + " took " + name_ + " over");
        std::this_thread::sleep_for(look_interval);
    }
    return fail(ErrorCode::not_now, "no majority of " + name_ + "'s group answers: it goes on where that decides",
                "bring a backup host back");
}

// The group has decided that the VM goes on at `host`: this instance is history.
void PrimaryVm::give_up_to(const std::string& host) {
    event("superseded", host);
    if (auto held = xen_->set_mode(TRIPOD_MODE_hold, 0); !held)
        log::error("{}: {}", name_, held.error().message);
    set_network(false);
    context_.tasks.start("end:" + name_, [self = shared_from_this(), this] {
        auto toolstack = context_.open_toolstack();
        if (toolstack)
            if (auto gone = (*toolstack)->destroy(domid_); !gone)
                log::error("{}: {}", name_, gone.error().what);
        let_backups_hear();
        group_->stop();
        finish();
    });
}

void PrimaryVm::note_diverged(const std::string& host, const std::string& detail) {
    group_->run([&](rdma_paxos::Replica*) {
        if (diverged_.emplace(host, detail).second)
            event(event::diverged, host + ": " + detail);
    });
}

// The leader that passes the VM on is the only one who knows that this is committed: without it they would have to
// elect another first.
void PrimaryVm::let_backups_hear() {
    const auto until = std::chrono::steady_clock::now() + hearing_timeout;
    bool heard = false;
    while (!heard && std::chrono::steady_clock::now() < until) {
        group_->run([&](rdma_paxos::Replica* replica) {
            heard = true;
            for (const auto& member : members_) {
                if (replica == nullptr || replica->role() != rdma_paxos::Role::leader || member.id == self_)
                    continue;
                const auto peer = replica->peer(rdma_paxos::ReplicaId(member.id));
                heard &= !peer.alive || peer.applied >= replica->commit_index();
            }
        });
        if (!heard)
            std::this_thread::sleep_for(look_interval);
    }
}

VmStatus PrimaryVm::status() {
    VmStatus status;
    status.role = Role::primary;
    group_->run([&](rdma_paxos::Replica* replica) {
        fill_status(status, replica);
        if (replica == nullptr)
            return;
        size_t alive = 1, ok = 0;
        for (const auto& member : members_) {
            if (member.id == self_)
                continue;
            const auto peer = replica->peer(rdma_paxos::ReplicaId(member.id));
            ReplicaStatus backup;
            backup.host = member.host;
            backup.acknowledged = Index{peer.acked.value()};
            backup.applied = Index{peer.applied.value()};
            if (peer.last_heard.count() != 0)
                backup.heartbeat_ms =
                    std::chrono::duration_cast<Milliseconds>(group::monotonic_now() - peer.last_heard).count();
            if (!established_)
                backup.state = ReplicaState::syncing;
            else if (!peer.alive || peer.replaced)
                backup.state = ReplicaState::dead;
            else if (diverged_.contains(member.host))
                backup.state = ReplicaState::diverged;
            else
                backup.state = peer.lagging ? ReplicaState::catching_up : ReplicaState::ok;
            alive += peer.alive && !peer.replaced;
            ok += backup.state == ReplicaState::ok;
            status.backups.push_back(std::move(backup));
        }
        if (!established_)
            status.state = VmState::protecting;
        else if (2 * alive <= members_.size() || replica->role() != rdma_paxos::Role::leader)
            status.state = VmState::stalled;
        else
            status.state = ok + 1 == members_.size() ? VmState::protected_ : VmState::degraded;
    });
    if (status.primary.empty())
        status.primary = context_.config.host;
    status.counters.state_bytes = state_bytes;
    status.counters.state_chunks = state_chunks;
    status.events = context_.events.of(name_);
    return status;
}

} // namespace tripod::vm
