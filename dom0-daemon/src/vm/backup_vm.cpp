// SPDX-License-Identifier: Apache-2.0
#include "vm/backup_vm.h"

#include <thread>
#include <utility>

#include "base/log.h"
#include "failover/network_takeover.h"
#include "record/divergence.h"

namespace tripod::vm {

namespace {

constexpr Milliseconds look_interval{20};
constexpr Milliseconds drain_timeout{30'000};
constexpr Milliseconds takeover_timeout{60'000};
// A leader may take a follower for left behind for a moment, while their link is new.
constexpr Milliseconds left_behind_min{2'000};
// Between attempts to bring a VM that is live onto the network; doubled each time.
constexpr Milliseconds network_retry_min{200}, network_retry_max{5'000};
constexpr const char* left_behind_text = "it missed more than the log holds";

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
    const std::lock_guard lock(discard_mutex_);
    if (finished())
        return fail(ErrorCode::cancelled, "the copy of " + name_ + " was given up meanwhile");
    domid_ = domid;
    auto xen = XenSide::enable(context_, domid, prepare_.profile, prepare_.ring_pages);
    if (!xen)
        return tl::unexpected(xen.error());
    if (auto set = (*xen)->set_mode(TRIPOD_MODE_replay, 0); !set)
        return set;
    auto domctl = context_.open_domctl();
    if (!domctl)
        return tl::unexpected(domctl.error());
    on_group([&](rdma_paxos::Replica*) {
        xen_ = std::move(*xen);
        domain_ = std::make_unique<DomainWatch>(std::move(*domctl), domid);
        pump_.attach(xen_->memory(), xen_->channel(), 0);
        pump_.set_last_look([this] { return !domain_->look_now(); });
        group_->watch_channel(&xen_->channel());
    });
    if (auto runs = toolstack.unpause(domid); !runs)
        return tl::unexpected(as_error(runs.error()));
    life_ = Life::following;
    return {};
}

void BackupVm::confirm() {
    limit_patience();
    on_group([&](rdma_paxos::Replica*) { pump_.allow_promotion(true); });
    confirmed_ = true;
}

void BackupVm::discard() {
    const std::lock_guard lock(discard_mutex_);
    if (finished())
        return;
    if (group_) {
        group_->stop();
        // Others may ask for its status until finish(), and destroying takes seconds: they must find nothing mapped
        // rather than what was unmapped.
        on_group([&](rdma_paxos::Replica*) {
            pump_.detach();
            xen_.reset();
        });
    }
    if (domid_ != DomId{}) {
        auto toolstack = context_.open_toolstack();
        if (!toolstack)
            log::error("{}: {}", name_, toolstack.error().message);
        else if ((*toolstack)->exists(domid_)) // someone else may have destroyed it
            if (auto gone = (*toolstack)->destroy(domid_); !gone)
                log::error("{}: {}", name_, gone.error().what);
    }
    finish();
}

// On the group's thread, as all of watch_*.
void BackupVm::watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now) {
    if (over_)
        return;
    watch_role(replica);
    watch_fitness(replica, now);
    watch_place(replica, now);
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
        go_live(replica);
    if (life_ == Life::following && unfit() && pump_.promoted() == self_) {
        // It was fit when it was chosen. What is left of it stays for whoever looks into it.
        over_ = true;
        event(event::failed, "this copy was chosen and cannot take over: " + unfit_text_);
    }
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

void BackupVm::watch_fitness(rdma_paxos::Replica& replica, std::chrono::nanoseconds now) {
    const Fitness fitness = fitness_;
    if (life_ != Life::following || fitness == Fitness::lost)
        return;
    if (const auto& end = domain_->look(now)) {
        lose_copy(replica, *end);
        return;
    }
    if (fitness == Fitness::diverged || (pump_.unfit() == 0 && !pump_.broken()))
        return;
    fitness_ = Fitness::diverged;
    pump_.allow_promotion(false);
    replica.abstain(); // while it led and did nothing, nobody fit could
    unfit_text_ = divergence_text();
    event(event::diverged, context_.config.host + ": " + unfit_text_);
    context_.tasks.start("tell:" + name_,
                         [self = shared_from_this(), this, detail = unfit_text_, applied = pump_.applied_index()] {
                             tell_primary_(*this, detail, applied);
                         });
}

// The primary needs no message: that this replica abstains stands in its row.
void BackupVm::lose_copy(rdma_paxos::Replica& replica, const std::string& why) {
    fitness_ = Fitness::lost;
    pump_.allow_promotion(false);
    pump_.give_up(why);
    replica.abstain();
    unfit_text_ = why;
    event(event::copy_lost, context_.config.host + ": " + why);
}

// The leader says that this replica's next entries are gone. It still votes, which may be what the others need.
void BackupVm::watch_place(rdma_paxos::Replica& replica, std::chrono::nanoseconds now) {
    const Fitness fitness = fitness_;
    if (fitness == Fitness::diverged || fitness == Fitness::lost)
        return;
    const auto leader = replica.leader();
    const bool left = leader != rdma_paxos::nobody && leader != rdma_paxos::ReplicaId(self_) &&
                      replica.peer(leader).left_us_behind;
    // While nobody leads nothing is known anew.
    if (leader == rdma_paxos::nobody)
        return;
    if (!left) {
        left_behind_since_.reset();
        fitness_ = Fitness::fit;
        return;
    }
    if (!left_behind_since_)
        left_behind_since_ = now;
    if (now - *left_behind_since_ < left_behind_min)
        return;
    fitness_ = Fitness::left_behind;
    unfit_text_ = left_behind_text;
    if (!std::exchange(told_left_behind_, true))
        event(event::copy_lost, context_.config.host + ": " + left_behind_text);
}

void BackupVm::go_live(rdma_paxos::Replica& replica) {
    if (const auto& end = domain_->look_now()) {
        lose_copy(replica, *end);
        return;
    }
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

// Nobody else can serve the VM now, so this goes on until it is reachable.
void BackupVm::take_over_network() {
    std::vector<replicate::Connection> connections;
    on_group([&](rdma_paxos::Replica*) { connections = pump_.connections().open(); });
    // Not with finished(): protection may end before the VM is reachable.
    const auto over = [this] { return context_.tasks.stopping(); };
    Milliseconds pause = network_retry_min;
    while (!over()) {
        const auto done = try_to_take_over_network(connections);
        if (done)
            return;
        bool news = false;
        {
            const std::lock_guard lock(trouble_mutex_);
            news = std::exchange(network_trouble_, done.error().message) != done.error().message;
        }
        if (news)
            event(event::network_failed, done.error().message);
        for (const auto until = std::chrono::steady_clock::now() + pause;
             !over() && std::chrono::steady_clock::now() < until;)
            std::this_thread::sleep_for(look_interval);
        pause = std::min(2 * pause, network_retry_max);
    }
}

Result<void> BackupVm::try_to_take_over_network(const std::vector<replicate::Connection>& connections) {
    auto toolstack = context_.open_toolstack();
    if (!toolstack)
        return tl::unexpected(toolstack.error());
    if (!(*toolstack)->exists(domid_)) {
        event(event::failed, "its domain has gone before it was on the network");
        return {}; // there is nothing left to try
    }
    const auto config = (*toolstack)->config(domid_);
    if (!config)
        return tl::unexpected(as_error(config.error()));
    failover::TakeoverPlan plan{name_, domid_, config->vifs, prepare_.bridges, connections};
    return failover::take_over_network(
        plan, [this] { return context_.tasks.stopping(); },
        [&] {
            event(event::network_moved);
            if (auto renamed = (*toolstack)->rename(domid_, name_); !renamed)
                event(event::failed, renamed.error().what);
            {
                const std::lock_guard lock(trouble_mutex_);
                network_trouble_.clear();
            }
            life_ = Life::network_moved;
        });
}

std::string BackupVm::network_trouble() {
    const std::lock_guard lock(trouble_mutex_);
    return network_trouble_;
}

Result<void> BackupVm::go_live_isolated(Progress& progress) {
    if (life_ != Life::following)
        return fail(ErrorCode::not_now, name_ + " does not follow the log here");
    if (auto fit = fit_to_lead(); !fit)
        return fit;
    // It comes to rest first, so that a copy that cannot is still a member afterwards.
    on_group([&](rdma_paxos::Replica*) { pump_.pause(true); });
    const auto until = std::chrono::steady_clock::now() + drain_timeout;
    bool drained = false;
    while (!drained && !unfit() && !progress.cancelled() && std::chrono::steady_clock::now() < until) {
        on_group([&](rdma_paxos::Replica*) { drained = pump_.drained(); });
        if (!drained)
            std::this_thread::sleep_for(look_interval);
    }
    if (unfit() || !drained) {
        on_group([&](rdma_paxos::Replica*) { pump_.pause(false); });
        if (unfit())
            return unfit_error();
        return progress.cancelled()
                   ? fail(ErrorCode::cancelled, "cancelled")
                   : fail(ErrorCode::timed_out, "the replica of " + name_ + " does not drain its log");
    }
    // Out of the group: from now on this VM's history is its own.
    group_->stop();
    Result<void> live;
    on_group([&](rdma_paxos::Replica*) {
        live = xen_->set_mode(TRIPOD_MODE_live, 0);
        pump_.follow_applied();
    });
    if (!live)
        return live;
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
    on_group([&](rdma_paxos::Replica*) {
        pump_.detach();
        if (xen_)
            if (auto done = xen_->disable(); !done)
                log::error("{}: {}", name_, done.error().message);
        xen_.reset();
    });
    finish();
}

bool BackupVm::primary_alive() {
    bool alive = false;
    on_group([&](rdma_paxos::Replica* replica) {
        alive = replica != nullptr && replica->leader() != rdma_paxos::nobody &&
                replica->leader() != rdma_paxos::ReplicaId(self_) && replica->peer(replica->leader()).alive;
    });
    return alive;
}

std::vector<std::string> BackupVm::unreached() {
    std::vector<std::string> hosts;
    on_group([&](rdma_paxos::Replica* replica) {
        for (const auto& member : members_)
            if (member.id != self_ &&
                (replica == nullptr || !replica->peer(rdma_paxos::ReplicaId(member.id)).board_up))
                hosts.push_back(member.host);
    });
    return hosts;
}

tl::unexpected<Error> BackupVm::unfit_error() {
    std::string why;
    on_group([&](rdma_paxos::Replica*) { why = unfit_text_; });
    const bool strayed = fitness_ == Fitness::diverged;
    return fail(ErrorCode::not_now,
                "the copy of " + name_ + " on " + context_.config.host +
                    (strayed ? " strayed from the log: " : " cannot take over: ") + why,
                "unprotect and protect " + name_ + " again for a new copy");
}

Result<void> BackupVm::fit_to_lead() {
    if (life_ == Life::isolated)
        return fail(ErrorCode::not_now, name_ + " went live isolated and is no member of the group");
    if (!confirmed_)
        return fail(ErrorCode::not_now, name_ + " is still being copied");
    // The group's thread has not looked since a moment ago, and the primary gives its VM up for this copy.
    if (!unfit() && life_ == Life::following)
        on_group([&](rdma_paxos::Replica* replica) {
            const auto& end = domain_->look_now();
            if (end && replica != nullptr)
                lose_copy(*replica, *end);
        });
    if (unfit())
        return unfit_error();
    return {};
}

Result<void> BackupVm::wait_for_takeover(Progress& progress) {
    if (auto fit = fit_to_lead(); !fit)
        return fit;
    const auto until = std::chrono::steady_clock::now() + takeover_timeout;
    while (life_ != Life::network_moved) {
        if (finished())
            return fail(ErrorCode::not_now, "another host took " + name_ + " over");
        if (unfit() && !serves())
            return unfit_error();
        if (const auto trouble = network_trouble(); !trouble.empty())
            return fail(ErrorCode::other, name_ + " runs here, but nobody can reach it yet: " + trouble,
                        "mend that; the daemon goes on trying");
        if (progress.cancelled())
            return fail(ErrorCode::cancelled, "cancelled; the takeover goes on by itself");
        if (std::chrono::steady_clock::now() >= until) {
            if (serves())
                return fail(ErrorCode::other, name_ + " runs here, but is not on the network yet",
                            "see \"tripod status " + name_ + "\"; the daemon goes on trying");
            return fail(ErrorCode::not_now, "no majority of " + name_ + "'s group answers",
                        "bring another of its hosts back");
        }
        std::this_thread::sleep_for(look_interval);
    }
    return {};
}

VmStatus BackupVm::status() {
    VmStatus status;
    const Life life = life_;
    status.role = runs_here() ? Role::primary : Role::backup;
    on_group([&](rdma_paxos::Replica* replica) {
        fill_status(status, replica);
        if (status.primary.empty())
            status.primary = prepare_.primary;
        ReplicaStatus self;
        self.host = context_.config.host;
        self.acknowledged = status.last;
        self.applied = Index{pump_.applied_index()};
        const Fitness fitness = fitness_;
        const bool strayed = fitness == Fitness::diverged ||
                             (fitness == Fitness::fit && (pump_.unfit() != 0 || pump_.broken().has_value()));
        const bool lost = fitness == Fitness::lost || fitness == Fitness::left_behind;
        const bool behind = !pump_.drained();
        if (life == Life::isolated)
            self.state = ReplicaState::isolated;
        else if (life == Life::incoming)
            self.state = ReplicaState::syncing;
        else if (strayed)
            self.state = ReplicaState::diverged;
        else if (lost)
            self.state = ReplicaState::lost;
        else
            self.state = behind ? ReplicaState::catching_up : ReplicaState::ok;
        if (strayed || lost)
            self.reason = unfit_text_;
        if (runs_here()) {
            status.state = VmState::live;
        } else if (strayed || lost) {
            status.state = strayed ? VmState::diverged : VmState::lost;
            status.reason = unfit_text_;
        } else if (life == Life::incoming) {
            status.state = VmState::protecting;
        } else if (replica == nullptr || replica->role() != rdma_paxos::Role::follower ||
                   replica->leader() == rdma_paxos::nobody) {
            status.state = VmState::electing;
        } else {
            status.state = behind ? VmState::catching_up : VmState::protected_;
        }
        if (!serves())
            status.backups.push_back(std::move(self));
    });
    if (serves()) {
        status.primary = context_.config.host;
        const std::string trouble = network_trouble();
        status.reason =
            trouble.empty() ? "it has no backups since the failover" : "it cannot be reached yet: " + trouble;
    }
    status.counters.state_bytes = state_bytes;
    status.counters.state_chunks = state_chunks;
    status.events = context_.events.of(name_);
    return status;
}

} // namespace tripod::vm
