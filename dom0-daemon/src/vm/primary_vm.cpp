// SPDX-License-Identifier: Apache-2.0
#include "vm/primary_vm.h"

#include <thread>

#include <sched.h>

#include "base/log.h"
#include "record/divergence.h"
#include "vm/judgement.h"

namespace tripod::vm {

namespace {

constexpr Milliseconds guest_look_interval{250};
constexpr Milliseconds dissolve_timeout{5000};
constexpr Milliseconds handover_timeout{10'000};
constexpr Milliseconds hearing_timeout{3'000};
constexpr Milliseconds look_interval{20};
constexpr Milliseconds destroy_again{1000};

} // namespace

PrimaryVm::PrimaryVm(Context& context, const xen::DomainConfig& config, DomId domid, peer::GroupKey group_key)
    : ReplicaVm(context, config.name, group_key) {
    domid_ = domid;
}

// Whatever is held stays held: the exit's rule stands until somebody knows that the VM may speak.
PrimaryVm::~PrimaryVm() {
    if (group_)
        group_->stop();
}

replicate::PrimaryPump::Limits PrimaryVm::limits() const {
    cpu_set_t usable;
    const bool alone = sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) == 1;
    return {context_.config.gate_frames, alone ? size_t{1} : replicate::PrimaryPump::in_flight_max};
}

Result<void> PrimaryVm::enable(const tripod_profile& profile, uint32_t ring_pages) {
    auto gate = context_.open_gate(domid_);
    if (!gate)
        return tl::unexpected(gate.error());
    auto xen = XenSide::enable(context_, domid_, profile, ring_pages);
    if (!xen)
        return tl::unexpected(xen.error());
    on_group([&](rdma_paxos::Replica*) { // against status() on another thread
        gate_ = std::move(*gate);
        xen_ = std::move(*xen);
        pump_ = std::make_unique<replicate::PrimaryPump>(xen_->memory(), xen_->channel(), *gate_, limits());
        group_->watch_channel(&xen_->channel());
        group_->watch_gate(
            gate_.get(), [this] { return pump_->wants_frames(); }, [this] { pump_->notice_frames(); });
    });
    return {};
}

Result<void> PrimaryVm::start(const std::vector<group::Member>& members, const peer::Timing& timing,
                              uint64_t log_bytes) {
    const uint8_t self = members.front().id;
    auto started =
        start_group(members, self, self, timing, log_bytes,
                    [this](rdma_paxos::Replica& replica, std::chrono::nanoseconds now) { watch(replica, now); });
    if (!started)
        return started;
    // Only now, when a thread lets frames pass again: the VM must not be mute meanwhile.
    auto shut = context_.shut_exit(domid_);
    exit_shut_ = shut.has_value();
    return shut;
}

Result<void> PrimaryVm::wait_for_leadership(Milliseconds timeout, Progress& progress) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (true) {
        bool leads = false;
        std::string missing, turned_away;
        on_group([&](rdma_paxos::Replica* replica) {
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
    on_group([&](rdma_paxos::Replica*) {
        pump_->guard();
        done = xen_->set_mode(TRIPOD_MODE_record, 0);
    });
    return done;
}

void PrimaryVm::established() {
    limit_patience();
    established_ = true;
    event(event::protected_);
}

void PrimaryVm::abandon() {
    if (group_)
        on_group([&](rdma_paxos::Replica*) {
            if (pump_)
                pump_->let_pass();
            if (!xen_)
                return;
            if (auto done = xen_->disable(); !done)
                log::error("{}: {}", name_, done.error().message);
        });
    open_exit();
    if (group_)
        group_->stop();
    finish();
}

// The rule first: what comes after it passes by itself. Then what was held before it.
void PrimaryVm::open_exit() {
    if (!exit_shut_)
        return;
    if (auto freed = context_.free_exit(domid_); !freed) {
        log::error("{}: {}", name_, freed.error().message);
        return;
    }
    exit_shut_ = false;
    on_group([&](rdma_paxos::Replica*) { gate_->release(gate_->collect(), gate::no_deadline); });
}

// Once the group has decided that protection ends: frees the exit and leaves the group. Blocks for seconds; whoever
// comes second waits for the first. False: a backup that is alive has not heard of it.
bool PrimaryVm::end_protection() {
    const std::lock_guard lock(end_mutex_);
    if (ended_)
        return true;
    open_exit();
    const bool heard = let_backups_hear();
    std::optional<std::string> why;
    on_group([&](rdma_paxos::Replica*) { why = lost_because_; });
    group_->stop();
    event(event::unprotected, why.value_or(""));
    ended_ = true;
    if (!why)
        finish();
    return heard;
}

Result<void> PrimaryVm::dissolve(Progress& progress) {
    const auto no_majority = [&] {
        return fail(ErrorCode::not_now,
                    "no majority of " + name_ + "'s group answers, so a backup may be taking it over",
                    "bring a backup host back, or destroy the VM here");
    };
    bool proposing = false, decided = false;
    on_group([&](rdma_paxos::Replica* replica) {
        decided = pump_ && pump_->dissolved();
        proposing = replica != nullptr && replica->role() == rdma_paxos::Role::leader && !pump_->broken();
        if (proposing)
            pump_->dissolve();
    });
    if (!proposing && !decided)
        return no_majority();
    // The commit itself frees the VM, in the pump and in watch().
    const auto until = std::chrono::steady_clock::now() + dissolve_timeout;
    while (!decided && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(look_interval);
        on_group([&](rdma_paxos::Replica*) { decided = pump_->dissolved(); });
    }
    if (!decided)
        return no_majority(); // it may still be decided later, and watch() then ends it
    if (!end_protection())
        progress.say(
            "not every backup host has heard of it; \"tripod unprotect\" there removes a copy that is left");
    finish();
    return {};
}

// On the group's thread, as all of watch_*.
void PrimaryVm::watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now) {
    watch_guest(now);
    if (over_)
        return;
    if (pump_->dissolved()) {
        over_ = true;
        if (auto done = xen_->disable(); !done)
            log::error("{}: {}", name_, done.error().message);
        context_.tasks.start("end:" + name_, [self = shared_from_this(), this] { end_protection(); });
        return;
    }
    if (const auto other = pump_->promoted()) {
        over_ = true;
        give_up_to(host_of(rdma_paxos::ReplicaId(*other)));
        return;
    }
    if (pump_->broken() && !told_broken_) {
        told_broken_ = true;
        event(event::broken, *pump_->broken());
        // What is committed is whole, and so are the copies: one of them takes over.
        replica.abstain();
    }
    const bool leading = replica.role() == rdma_paxos::Role::leader;
    if (leading != was_leading_ && established_)
        event(leading ? "leading" : "fenced");
    was_leading_ = leading;
    if (leading)
        watch_backups(replica);
}

// What the guest or its owner did that no copy can follow. Its copies are of the past from then on.
void PrimaryVm::watch_guest(std::chrono::nanoseconds now) {
    if (!over_ && !lost_because_ && pump_->unfit() != 0) {
        const auto status = xen_->status();
        lose_protection(status ? record::divergence_text(status->divergence.seq, status->divergence.tid,
                                                         status->divergence.nr, status->divergence.reason,
                                                         status->divergence.expected, status->divergence.found)
                               : status.error().message);
    }
    if (now - guest_looked_at_ < guest_look_interval)
        return;
    guest_looked_at_ = now;
    const auto status = xen_->status();
    const bool gone = !status || status->life == TRIPOD_LIFE_dying;
    // Held frames are lent memory of the domain: it could not end.
    if (gone)
        gate_->discard();
    if (over_ || lost_because_ || !established_)
        return;
    if (gone)
        lose_protection("its domain was destroyed");
    else if (status->life == TRIPOD_LIFE_shutdown)
        lose_protection("its domain has shut down");
}

// Nothing more is marked in the gate, so nothing that depends on what is not logged leaves, until the group has
// decided that no copy takes the VM over.
void PrimaryVm::lose_protection(const std::string& why) {
    lost_because_ = why;
    event(event::broken, why);
    pump_->dissolve();
}

void PrimaryVm::watch_backups(rdma_paxos::Replica& replica) {
    for (const auto& member : members_) {
        if (member.id == self_ || !established_)
            continue;
        const auto peer = replica.peer(rdma_paxos::ReplicaId(member.id));
        const char* loss = loss_of(peer);
        // What it takes from the log from now on says nothing about its VM.
        if (peer.cannot_lead)
            stopped_.try_emplace(member.host, Stop{{}, Index{peer.applied.value()}});
        const std::string news = !peer.alive ? member.host : loss != nullptr ? member.host + ": " + loss : "";
        const auto told = lost_.find(member.id);
        if (news.empty()) {
            if (told != lost_.end()) {
                event("backup_back", member.host);
                lost_.erase(told);
            }
        } else if (told == lost_.end() || told->second != news) {
            lost_[member.id] = news;
            event(event::backup_lost, news);
        }
    }
}

Result<void> PrimaryVm::able_to_succeed(const rdma_paxos::Replica* replica, uint8_t to) const {
    const std::string host = host_of(rdma_paxos::ReplicaId(to));
    if (!established_ || replica == nullptr || replica->role() != rdma_paxos::Role::leader || pump_->broken() ||
        pump_->closed() || pump_->handing_over() || pump_->dissolving())
        return fail(ErrorCode::not_now, name_ + " cannot be handed over: its group has no leader here");
    const auto peer = replica->peer(rdma_paxos::ReplicaId(to));
    const auto stopped = stopped_.find(host);
    if (stopped != stopped_.end() && !stopped->second.detail.empty())
        return fail(ErrorCode::not_now, "the copy of " + name_ + " on " + host + " strayed from the log");
    if (const char* loss = loss_of(peer))
        return fail(ErrorCode::not_now, "the copy of " + name_ + " on " + host + " cannot take over: " + loss);
    if (host.empty() || to == self_ || !peer.alive || peer.replaced)
        return fail(ErrorCode::not_now, host + " does not follow the log of " + name_);
    return {};
}

// Nothing leaves this VM any more before the word is proposed that lets another one speak.
Result<void> PrimaryVm::hand_over(uint8_t to) {
    Result<void> able;
    on_group([&](rdma_paxos::Replica* replica) {
        able = able_to_succeed(replica, to);
        if (!able)
            return;
        pump_->hold_frames(true);
        pump_->hand_over(to);
        event("handover", host_of(rdma_paxos::ReplicaId(to)));
    });
    if (!able)
        return able;
    const auto until = std::chrono::steady_clock::now() + handover_timeout;
    while (std::chrono::steady_clock::now() < until) {
        std::optional<uint8_t> decided;
        on_group([&](rdma_paxos::Replica*) { decided = pump_->promoted(); });
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
    gate_->discard();
    if (auto held = xen_->set_mode(TRIPOD_MODE_hold, 0); !held)
        log::error("{}: {}", name_, held.error().message);
    context_.tasks.start("end:" + name_, [self = shared_from_this(), this] {
        destroy_superseded();
        let_backups_hear();
        group_->stop();
        finish();
    });
}

// It can do no harm where it is, held and mute; but its memory is wanted, and its name.
void PrimaryVm::destroy_superseded() {
    while (!context_.tasks.stopping()) {
        auto toolstack = context_.open_toolstack();
        if (!toolstack) {
            log::error("{}: {}", name_, toolstack.error().message);
        } else if (!(*toolstack)->exists(domid_)) {
            if (auto freed = context_.free_exit(domid_); !freed)
                log::error("{}: {}", name_, freed.error().message);
            return;
        } else if (auto gone = (*toolstack)->destroy(domid_); !gone) {
            log::error("{}: {}", name_, gone.error().what);
        } else {
            continue;
        }
        std::this_thread::sleep_for(destroy_again);
    }
}

void PrimaryVm::note_diverged(const std::string& host, const std::string& detail, std::optional<uint64_t> applied) {
    on_group([&](rdma_paxos::Replica*) {
        Stop& stop = stopped_[host];
        if (!stop.detail.empty())
            return;
        stop.detail = detail.empty() ? "it does not say how" : detail;
        if (applied)
            stop.applied = Index{*applied};
        event(event::diverged, host + ": " + stop.detail);
    });
}

// The leader that passes the VM on is the only one who knows that this is committed: without it they would have to
// elect another first.
bool PrimaryVm::let_backups_hear() {
    const auto until = std::chrono::steady_clock::now() + hearing_timeout;
    bool heard = false;
    while (!heard && std::chrono::steady_clock::now() < until) {
        on_group([&](rdma_paxos::Replica* replica) {
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
    return heard;
}

ReplicaStatus PrimaryVm::backup_status(const rdma_paxos::Replica& replica, const group::Member& member) const {
    const auto peer = replica.peer(rdma_paxos::ReplicaId(member.id));
    ReplicaStatus backup;
    backup.host = member.host;
    backup.acknowledged = Index{peer.acked.value()};
    backup.applied = Index{peer.applied.value()};
    if (peer.last_heard.count() != 0)
        backup.heartbeat_ms =
            std::chrono::duration_cast<Milliseconds>(group::monotonic_now() - peer.last_heard).count();
    const auto stopped = stopped_.find(member.host);
    if (stopped != stopped_.end())
        backup.applied = stopped->second.applied;
    BackupView view{peer, established_, {}};
    if (stopped != stopped_.end() && !stopped->second.detail.empty())
        view.divergence = stopped->second.detail;
    judge_backup(view, backup);
    return backup;
}

void PrimaryVm::fill_gate(VmCounters& counters) const {
    const auto& frames = pump_->frames().statistics();
    counters.gate_frames = frames.frames;
    counters.gate_releases = frames.releases;
    counters.gate_held = pump_->frames().held();
    counters.gate_held_max = frames.held_max;
    counters.gate_held_p50_us = static_cast<uint64_t>(frames.held_for.quantile(0.5).count() / 1000);
    counters.gate_held_p99_us = static_cast<uint64_t>(frames.held_for.quantile(0.99).count() / 1000);
    counters.commits = pump_->commits();
}

VmStatus PrimaryVm::status() {
    VmStatus status;
    status.role = Role::primary;
    on_group([&](rdma_paxos::Replica* replica) {
        fill_status(status, replica);
        if (ended_ && lost_because_) {
            status.state = VmState::unprotected;
            status.reason = *lost_because_;
        }
        if (pump_)
            fill_gate(status.counters);
        if (replica == nullptr)
            return;
        for (const auto& member : members_)
            if (member.id != self_)
                status.backups.push_back(backup_status(*replica, member));
        PrimaryView view;
        view.established = established_;
        view.leads = replica->role() == rdma_paxos::Role::leader;
        view.lease_holds = replica->lease_deadline() > group::monotonic_now();
        if (pump_)
            view.broken = pump_->broken() ? pump_->broken() : lost_because_;
        if (const auto& d = status.divergence; d && !view.broken)
            view.broken = record::divergence_text(d->seq, d->tid, d->nr, d->reason, d->expected, d->found);
        std::string why;
        status.state = judge_primary(view, status.backups, why);
        if (!why.empty())
            status.reason = why;
    });
    if (status.primary.empty())
        status.primary = context_.config.host;
    status.counters.state_bytes = state_bytes;
    status.counters.state_chunks = state_chunks;
    status.events = context_.events.of(name_);
    return status;
}

} // namespace tripod::vm
