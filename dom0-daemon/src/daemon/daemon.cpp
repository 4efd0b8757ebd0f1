// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <set>
#include <thread>

#include "base/log.h"
#include "daemon/plain_trace.h"
#include "gate/exit_rules.h"
#include "peer/connection.h"
#include "protect/backup_link.h"
#include "protect/protector.h"
#include "vm/backup_vm.h"
#include "vm/primary_vm.h"

namespace tripod::daemon {

namespace {

constexpr const char* daemon_version = "0.1";

// For work that nobody waits for.
class Silent final : public Progress {
  public:
    void say(std::string_view line) override { log::info("{}", line); }
    bool cancelled() override { return false; }
};

} // namespace

class Daemon::Busy {
  public:
    explicit Busy(std::shared_ptr<vm::ReplicaVm> vm) : vm_(std::move(vm)), mine_(!vm_->busy.exchange(true)) {}
    ~Busy() {
        if (mine_)
            vm_->busy = false;
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    explicit operator bool() const { return mine_; }
    tl::unexpected<Error> error() const {
        return fail(ErrorCode::not_now, "another operation on " + vm_->name() + " runs");
    }

  private:
    std::shared_ptr<vm::ReplicaVm> vm_;
    bool mine_;
};

Daemon::Daemon(vm::Context& context) : context_(context) {
    incoming_.admit = [this](const std::shared_ptr<vm::BackupVm>& vm) {
        make_room_for(*vm);
        return registry_.add(vm);
    };
    incoming_.dismiss = [this](const std::shared_ptr<vm::BackupVm>& vm) { registry_.remove(vm); };
    incoming_.diverged = [this](const peer::Diverged& notice) { note_diverged(notice); };
    incoming_.hand_over = [this](const peer::HandOver& request) { return hand_over(request); };
    incoming_.runs_here = [this](const peer::Whereabouts& question) { return runs_here(question); };
    incoming_.tell_primary = [this](const vm::BackupVm& vm, const std::string& detail, uint64_t applied) {
        tell_primary(vm, detail, applied);
    };
}

Daemon::~Daemon() {
    shut_down();
    // Some of them refer to this.
    context_.tasks.stop();
    context_.tasks.wait();
}

// A copy that was left behind never hears how its group ended. It can never take over, and its primary asks for a
// new one: so it goes.
void Daemon::make_room_for(const vm::BackupVm& vm) {
    const auto old = std::dynamic_pointer_cast<vm::BackupVm>(registry_.find(vm.name()));
    if (!old || !old->unfit() || old->runs_here() || old->prepared().uuid != vm.prepared().uuid ||
        old->prepared().primary != vm.prepared().primary || old->primary_alive())
        return;
    const Busy busy(old);
    if (!busy)
        return;
    old->discard();
    registry_.remove(old);
}

Result<std::shared_ptr<vm::ReplicaVm>> Daemon::find(const std::string& vm) {
    if (auto found = registry_.find(vm))
        return found;
    auto toolstack = context_.open_toolstack();
    if (!toolstack)
        return tl::unexpected(toolstack.error());
    if (!(*toolstack)->find(vm))
        return fail(ErrorCode::no_such_vm, "no VM named " + vm + " on " + context_.config.host, "see \"xl list\"");
    return fail(ErrorCode::not_protected, vm + " is not protected", "see \"tripod list\"");
}

Result<VmStatus> Daemon::protect(const ProtectRequest& request, Progress& progress) {
    auto replica = registry_.find(request.vm);
    if (const auto ended = std::dynamic_pointer_cast<vm::PrimaryVm>(replica); ended && ended->ended_by_itself()) {
        ended->acknowledge_end();
        registry_.remove(ended);
        replica = nullptr;
    }
    if (replica)
        return fail(ErrorCode::already_protected, replica->name() + " is protected already", "see \"tripod list\"");
    protect::Registry registry{
        [this](const std::shared_ptr<vm::PrimaryVm>& vm) {
            vm->busy = true;
            return registry_.add(vm);
        },
        [this](const std::shared_ptr<vm::PrimaryVm>& vm) { registry_.remove(vm); },
    };
    auto vm = protect::protect(context_, request, registry, progress);
    if (!vm)
        return tl::unexpected(vm.error());
    (*vm)->busy = false;
    return (*vm)->status();
}

Result<void> Daemon::unprotect(const std::string& name, Progress& progress) {
    const auto found = find(name);
    if (!found)
        return tl::unexpected(found.error());
    const Busy busy(*found);
    if (!busy)
        return busy.error();
    if (const auto primary = std::dynamic_pointer_cast<vm::PrimaryVm>(*found)) {
        if (primary->ended_by_itself())
            primary->acknowledge_end();
        else if (auto done = primary->dissolve(progress); !done)
            return done;
        registry_.remove(primary);
        return {};
    }
    const auto backup = std::dynamic_pointer_cast<vm::BackupVm>(*found);
    if (backup->serves())
        backup->release();
    else if (!backup->runs_here() && backup->primary_alive())
        return fail(ErrorCode::not_now, "the primary of " + backup->name() + " still answers",
                    "run \"tripod unprotect\" on " + backup->prepared().primary);
    else
        backup->discard();
    registry_.remove(backup);
    return {};
}

Result<std::vector<VmStatus>> Daemon::list() {
    std::vector<VmStatus> all;
    for (const auto& vm : registry_.all())
        all.push_back(vm->status());
    return all;
}

Result<VmStatus> Daemon::status(const std::string& name) {
    const auto found = find(name);
    if (!found)
        return tl::unexpected(found.error());
    return (*found)->status();
}

Result<VmStatus> Daemon::failover(const FailoverRequest& request, Progress& progress) {
    const auto found = find(request.vm);
    if (!found)
        return tl::unexpected(found.error());
    const Busy busy(*found);
    if (!busy)
        return busy.error();
    const auto backup = std::dynamic_pointer_cast<vm::BackupVm>(*found);
    if (!backup)
        return fail(ErrorCode::not_now, request.vm + " runs here: this host is its primary",
                    "run \"tripod failover\" on a backup host");
    if (request.isolated) {
        if (auto done = backup->go_live_isolated(progress); !done)
            return tl::unexpected(done.error());
        return backup->status();
    }
    if (backup->primary_alive())
        if (auto asked = ask_for(*backup, progress); !asked)
            return tl::unexpected(asked.error());
    if (auto done = backup->wait_for_takeover(progress); !done)
        return tl::unexpected(done.error());
    return backup->status();
}

Result<void> Daemon::trace(const std::string& name, TraceSink& sink) {
    if (const auto replica = registry_.find(name))
        return replica->trace(sink);
    return trace_unprotected(context_, name, sink);
}

Result<InfoReply> Daemon::info() {
    InfoReply reply;
    reply.daemon_version = daemon_version;
    reply.interface_version = TRIPOD_INTERFACE_VERSION;
    reply.xen_interface_version = context_.xen_interface_version;
    if (auto toolstack = context_.open_toolstack())
        reply.xen_version = (*toolstack)->xen_version();
    reply.host = context_.config.host;
    reply.listen = context_.config.listen_address + ":" + std::to_string(context_.config.listen_port);
    reply.rdma_device = context_.rdma_device;
    reply.protected_vms = registry_.all().size();
    return reply;
}

void Daemon::serve_peer(peer::Connection& connection) {
    protect::IncomingSession(context_, incoming_, connection).run();
}

void Daemon::tell_primary(const vm::BackupVm& vm, const std::string& detail, uint64_t applied) {
    const auto at = peer_address(context_.config, vm.prepared().primary);
    if (!at)
        return;
    const auto timeout = context_.config.connect_timeout;
    auto connection = peer::Connection::dial(at->address, at->port, vm.prepared().primary, timeout);
    if (!connection)
        return; // the group's rows tell it all but the reason
    const peer::Diverged notice{vm.name(), vm.group_key(), context_.config.host, detail, applied};
    [[maybe_unused]] const bool told =
        connection->send(wire::FrameType::peer_hello, 0, peer::to_json(protect::make_hello(context_)), timeout) &&
        connection->receive(timeout) &&
        connection->send(wire::FrameType::peer_notice, 0, peer::to_json(notice), timeout);
}

void Daemon::note_diverged(const peer::Diverged& notice) {
    const auto vm = std::dynamic_pointer_cast<vm::PrimaryVm>(registry_.find(notice.vm));
    if (vm && vm->group_key() == notice.group)
        vm->note_diverged(notice.host, notice.detail, notice.applied);
}

Result<void> Daemon::hand_over(const peer::HandOver& request) {
    const auto vm = std::dynamic_pointer_cast<vm::PrimaryVm>(registry_.find(request.vm));
    if (!vm || vm->group_key() != request.group)
        return fail(ErrorCode::not_now, request.vm + " does not run here, or its protection has ended");
    const Busy busy(vm);
    if (!busy)
        return busy.error();
    return vm->hand_over(request.replica);
}

Result<void> Daemon::ask_for(vm::BackupVm& vm, Progress& progress) {
    if (auto able = vm.fit_to_lead(); !able)
        return able;
    const std::string& primary = vm.prepared().primary;
    const auto at = peer_address(context_.config, primary);
    if (!at)
        return tl::unexpected(at.error());
    progress.say("asking " + primary + " to hand " + vm.name() + " over");
    auto link = protect::BackupLink::open(primary, at->address, at->port, protect::make_hello(context_),
                                          context_.config.connect_timeout);
    if (!link)
        return fail(ErrorCode::not_now,
                    "the primary of " + vm.name() + " is alive, but cannot be asked: " + link.error().message,
                    "check the network between the hosts");
    return link->hand_over({vm.name(), vm.group_key(), vm.prepared().replica}, progress);
}

bool Daemon::runs_here(const peer::Whereabouts& question) {
    const auto vm = std::dynamic_pointer_cast<vm::BackupVm>(registry_.find(question.vm));
    return vm && vm->prepared().uuid == question.uuid && vm->serves();
}

bool Daemon::runs_elsewhere(const peer::Whereabouts& vm) {
    Silent silent;
    for (const auto& [host, unused] : context_.config.peers) {
        const auto at = peer_address(context_.config, host);
        if (host == context_.config.host || !at || context_.tasks.stopping())
            continue;
        auto link = protect::BackupLink::open(host, at->address, at->port, protect::make_hello(context_),
                                              context_.config.connect_timeout);
        if (!link)
            continue;
        if (link->runs_there(vm, silent).value_or(false)) {
            log::warning("{} runs on {}: destroying the instance that was left here", vm.vm, host);
            return true;
        }
    }
    return false;
}

void Daemon::settle_leftover(DomId domid, const peer::Whereabouts& vm) {
    constexpr std::chrono::milliseconds pause{100};
    constexpr int pauses_between_questions = 30;
    for (int round = 0; !context_.tasks.stopping(); ++round) {
        if (round % pauses_between_questions != 0) {
            std::this_thread::sleep_for(pause);
            continue;
        }
        auto toolstack = context_.open_toolstack();
        if (!toolstack)
            continue;
        if (!(*toolstack)->exists(domid))
            return;
        if (!runs_elsewhere(vm))
            continue;
        if (auto gone = (*toolstack)->destroy(domid); !gone) {
            log::error("{}", gone.error().what);
            continue;
        }
        if (auto freed = context_.free_exit(domid); !freed)
            log::error("{}", freed.error().message);
        context_.events.add(vm.vm, "superseded");
        return;
    }
}

void Daemon::clean_up_leftovers() {
    auto toolstack = context_.open_toolstack();
    if (!toolstack)
        return;
    std::set<DomId> shut;
    if (const auto domains = gate::shut_exits())
        shut.insert(domains->begin(), domains->end());
    else
        log::warning("no protection on this host: {}", domains.error().message);
    for (const auto domid : shut)
        if (!(*toolstack)->exists(domid))
            if (auto freed = context_.free_exit(domid); !freed)
                log::error("{}", freed.error().message);
    // A guest that did what cannot be logged is in mode off, and mute: nobody has decided yet that it may speak.
    const auto shut_in = [&](DomId domid) { return shut.contains(domid); };
    auto domctl = context_.open_domctl();
    for (const auto domid : (*toolstack)->domains()) {
        if (domid == DomId{})
            continue;
        const auto status =
            domctl ? (*domctl)->status(domid) : xen::Result<xen::Domctl::Status>(tl::unexpected(xen::Error{}));
        if (!status)
            continue;
        const auto name = (*toolstack)->name_of(domid).value_or("");
        if (status->mode == TRIPOD_MODE_replay) {
            log::warning("destroying {}: a copy without its daemon can follow no log", name);
            if (auto gone = (*toolstack)->destroy(domid); !gone)
                log::error("{}", gone.error().what);
        } else if (status->mode == TRIPOD_MODE_trace) {
            // Nobody reads its ring any more; when that is full it would wait for ever.
            log::warning("{} was being traced by a daemon that is gone: it runs on untraced", name);
            if (auto done = (*domctl)->disable(domid); !done)
                log::error("{}", done.error().what);
        } else if (status->mode == TRIPOD_MODE_record || status->mode == TRIPOD_MODE_hold ||
                   (status->mode == TRIPOD_MODE_off && shut_in(domid))) {
            // A backup may have taken it over, or may yet: letting it run on could make two of it.
            log::error(
                "{} was protected by a daemon that ended without notice: it waits here until another host says "
                "that it runs there, and is destroyed then; or until you destroy it",
                name);
            // It stands already, unless somebody took it away.
            if (auto closed = context_.shut_exit(domid); !closed)
                log::error("{}: {}", name, closed.error().message);
            const auto config = (*toolstack)->config(domid);
            if (!config)
                continue;
            context_.tasks.start("left:" + name, [this, domid, vm = peer::Whereabouts{name, config->uuid}] {
                settle_leftover(domid, vm);
            });
        }
    }
}

void Daemon::shut_down() {
    Silent silent;
    for (const auto& vm : registry_.all()) {
        if (const auto primary = std::dynamic_pointer_cast<vm::PrimaryVm>(vm)) {
            if (auto done = primary->dissolve(silent); !done)
                log::error("{}: left protected, and waiting: {}", vm->name(), done.error().message);
        } else if (const auto backup = std::dynamic_pointer_cast<vm::BackupVm>(vm)) {
            if (backup->serves())
                backup->release();
            else
                backup->discard();
        }
        registry_.remove(vm);
    }
}

} // namespace tripod::daemon
