// SPDX-License-Identifier: Apache-2.0
#include "vm/backup_vm.h"

#include <thread>

#include "base/log.h"
#include "failover/network_takeover.h"
#include "record/divergence.h"

namespace tripod::vm {

namespace {

constexpr Milliseconds look_interval{20};
constexpr Milliseconds drain_timeout{30'000};
constexpr Milliseconds takeover_timeout{60'000};

} // namespace

BackupVm::BackupVm(Context& context, peer::Prepare prepare, TellPrimary tell_primary)
    : ReplicaVm(context, prepare.vm, prepare.group), prepare_(std::move(prepare)),
      tell_primary_(std::move(tell_primary)), pump_(prepare_.replica) {
    pump_.allow_promotion(false);
}

BackupVm::~BackupVm() {
    if (group_)
        group_->stop();
}

Result<void> BackupVm::start(const std::vector<group::Member>& members, uint8_t initial_leader) {
    return start_group(members, prepare_.replica, initial_leader, prepare_.timing, prepare_.log_bytes,
                       [this](rdma_paxos::Replica& replica, std::chrono::nanoseconds now) { watch(replica, now); });
}

Result<void> BackupVm::follow(xen::Toolstack& toolstack, DomId domid) {
    domid_ = domid;
    auto xen = XenSide::enable(context_, domid, prepare_.profile, prepare_.ring_pages);
    if (!xen)
        return tl::unexpected(xen.error());
    if (auto set = (*xen)->set_mode(TRIPOD_MODE_replay, 0); !set)
        return set;
    group_->run([&](rdma_paxos::Replica*) {
        xen_ = std::move(*xen);
        pump_.attach(xen_->memory(), xen_->channel(), 0);
        group_->watch_channel(&xen_->channel());
    });
    if (auto runs = toolstack.unpause(domid); !runs)
        return tl::unexpected(as_error(runs.error()));
    life_ = Life::following;
    return {};
}

void BackupVm::confirm() {
    group_->run([&](rdma_paxos::Replica*) { pump_.allow_promotion(true); });
    confirmed_ = true;
}

void BackupVm::discard() {
    const std::lock_guard lock(discard_mutex_);
    if (finished())
        return;
    if (group_) {
        group_->stop();
        group_->run([&](rdma_paxos::Replica*) { xen_.reset(); }); // against status() on another thread
    }
    if (domid_ != DomId{}) {
        auto toolstack = context_.open_toolstack();
        if (!toolstack)
            log::error("{}: {}", name_, toolstack.error().message);
        else if (auto gone = (*toolstack)->destroy(domid_); !gone)
            log::error("{}: {}", name_, gone.error().what);
    }
    finish();
}

// On the group's thread, as all of watch_*.
void BackupVm::watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds) {
    if (over_)
        return;
    watch_role(replica);
    watch_fitness(replica);
    const bool taken_by_other = pump_.promoted() && *pump_.promoted() != self_;
    if (pump_.dissolved() || taken_by_other) {
        over_ = true;
        if (taken_by_other)
            event("superseded", host_of(rdma_paxos::ReplicaId(*pump_.promoted())));
        else
            event(event::unprotected);
        // This host stays silent in the group from now on; the decision itself is committed elsewhere too.
        context_.tasks.start("end:" + name_, [self = shared_from_this(), this] { discard(); });
        return;
    }
    if (life_ == Life::following && pump_.ready_for_life())
        go_live();
}

void BackupVm::watch_role(rdma_paxos::Replica& replica) {
    const auto role = replica.role();
    if (role == last_role_)
        return;
    const bool was_following = last_role_ == rdma_paxos::Role::follower;
    last_role_ = role;
    if (life_ != Life::following)
        return;
    using rdma_paxos::Role;
    if (was_following && (role == Role::pre_candidate || role == Role::candidate || role == Role::leader))
        event(event::detected, host_of(rdma_paxos::ReplicaId(members_.front().id)));
    if (role == Role::leader)
        event(event::elected, "term " + std::to_string(replica.term().value()));
}

std::string BackupVm::divergence_text() {
    if (pump_.broken())
        return *pump_.broken();
    const auto status = xen_->status();
    if (!status)
        return status.error().message;
    const auto& d = status->divergence;
    return record::divergence_text(d.seq, d.tid, d.nr, d.reason, d.expected, d.found);
}

void BackupVm::watch_fitness(rdma_paxos::Replica& replica) {
    if (told_unfit_ || life_ != Life::following || (pump_.unfit() == 0 && !pump_.broken()))
        return;
    told_unfit_ = true;
    pump_.allow_promotion(false);
    replica.abstain(); // while it led and did nothing, nobody fit could
    const std::string detail = divergence_text();
    event(event::diverged, context_.config.host + ": " + detail);
    context_.tasks.start("tell:" + name_,
                         [self = shared_from_this(), this, detail] { tell_primary_(*this, detail); });
}

void BackupVm::go_live() {
    event(event::drained, "index " + std::to_string(pump_.applied_index()));
    if (auto live = xen_->set_mode(TRIPOD_MODE_live, 0); !live) {
        over_ = true;
        event(event::failed, live.error().message);
        return;
    }
    life_ = Life::live;
    event(event::live);
    context_.tasks.start("move:" + name_, [self = shared_from_this(), this] { take_over_network(); });
}

void BackupVm::take_over_network() {
    std::vector<replicate::Connection> connections;
    group_->run([&](rdma_paxos::Replica*) { connections = pump_.connections().open(); });
    auto toolstack = context_.open_toolstack();
    if (!toolstack) {
        event(event::failed, toolstack.error().message);
        return;
    }
    const auto config = (*toolstack)->config(domid_);
    if (!config) {
        event(event::failed, config.error().what);
        return;
    }
    failover::TakeoverPlan plan{name_, domid_, config->vifs, prepare_.bridges, std::move(connections)};
    const auto moved = failover::take_over_network(
        plan, [this] { return context_.tasks.stopping(); },
        [&] {
            event(event::network_moved);
            if (auto renamed = (*toolstack)->rename(domid_, name_); !renamed)
                event(event::failed, renamed.error().what);
            life_ = Life::network_moved;
        });
    if (!moved)
        event(event::failed, moved.error().message);
}

Result<void> BackupVm::go_live_isolated(Progress& progress) {
    if (life_ != Life::following)
        return fail(ErrorCode::not_now, name_ + " does not follow the log here");
    // Out of the group first: from now on this VM's history is its own.
    group_->stop();
    const auto until = std::chrono::steady_clock::now() + drain_timeout;
    while (!pump_.drained() && pump_.unfit() == 0 && std::chrono::steady_clock::now() < until &&
           !progress.cancelled())
        std::this_thread::sleep_for(look_interval);
    if (pump_.unfit() != 0 || pump_.broken())
        return fail(ErrorCode::not_now, "the replica of " + name_ + " strayed from the log: " + divergence_text());
    if (!pump_.drained())
        return fail(ErrorCode::timed_out, "the replica of " + name_ + " does not drain its log");
    if (auto live = xen_->set_mode(TRIPOD_MODE_live, 0); !live)
        return live;
    group_->run([&](rdma_paxos::Replica*) { pump_.follow_applied(); });
    life_ = Life::isolated;
    event(event::live, "isolated");
    return {};
}

bool BackupVm::serves() const {
    const Life life = life_;
    return life == Life::live || life == Life::network_moved;
}

bool BackupVm::runs_here() const {
    return serves() || life_ == Life::isolated;
}

void BackupVm::release() {
    const std::lock_guard lock(discard_mutex_);
    if (finished())
        return;
    group_->stop();
    group_->run([&](rdma_paxos::Replica*) { xen_.reset(); });
    finish();
}

bool BackupVm::primary_alive() {
    bool alive = false;
    group_->run([&](rdma_paxos::Replica* replica) {
        alive = replica != nullptr && replica->leader() != rdma_paxos::nobody &&
                replica->leader() != rdma_paxos::ReplicaId(self_) && replica->peer(replica->leader()).alive;
    });
    return alive;
}

Result<void> BackupVm::fit_to_lead() {
    if (life_ == Life::isolated)
        return fail(ErrorCode::not_now, name_ + " went live isolated and is no member of the group");
    if (!confirmed_)
        return fail(ErrorCode::not_now, name_ + " is still being copied");
    if (told_unfit_)
        return fail(ErrorCode::not_now, "the replica of " + name_ + " strayed from the log",
                    "see \"tripod status " + name_ + "\"");
    return {};
}

Result<void> BackupVm::wait_for_takeover(Progress& progress) {
    if (auto fit = fit_to_lead(); !fit)
        return fit;
    const auto until = std::chrono::steady_clock::now() + takeover_timeout;
    while (life_ != Life::network_moved) {
        if (finished())
            return fail(ErrorCode::not_now, "another host took " + name_ + " over");
        if (pump_.unfit() != 0)
            return fail(ErrorCode::not_now, "the replica of " + name_ + " strayed from the log");
        if (progress.cancelled())
            return fail(ErrorCode::cancelled, "cancelled; the takeover goes on by itself");
        if (std::chrono::steady_clock::now() >= until)
            return fail(ErrorCode::not_now, "no majority of " + name_ + "'s group answers",
                        "bring another of its hosts back");
        std::this_thread::sleep_for(look_interval);
    }
    return {};
}

VmStatus BackupVm::status() {
    VmStatus status;
    const Life life = life_;
    status.role = runs_here() ? Role::primary : Role::backup;
    group_->run([&](rdma_paxos::Replica* replica) {
        fill_status(status, replica);
        if (status.primary.empty())
            status.primary = prepare_.primary;
        ReplicaStatus self;
        self.host = context_.config.host;
        self.acknowledged = status.last;
        self.applied = Index{pump_.applied_index()};
        const bool unfit = pump_.unfit() != 0 || pump_.broken().has_value();
        const bool behind = !pump_.drained();
        if (life == Life::isolated)
            self.state = ReplicaState::isolated;
        else if (life == Life::incoming)
            self.state = ReplicaState::syncing;
        else if (unfit)
            self.state = ReplicaState::diverged;
        else
            self.state = behind ? ReplicaState::catching_up : ReplicaState::ok;
        if (runs_here())
            status.state = VmState::live;
        else if (unfit)
            status.state = VmState::diverged;
        else if (life == Life::incoming)
            status.state = VmState::protecting;
        else if (replica == nullptr || replica->role() != rdma_paxos::Role::follower ||
                 replica->leader() == rdma_paxos::nobody)
            status.state = VmState::electing;
        else
            status.state = behind ? VmState::catching_up : VmState::protected_;
        if (!serves())
            status.backups.push_back(std::move(self));
    });
    if (serves())
        status.primary = context_.config.host;
    status.counters.state_bytes = state_bytes;
    status.counters.state_chunks = state_chunks;
    status.events = context_.events.of(name_);
    return status;
}

} // namespace tripod::vm
