// SPDX-License-Identifier: Apache-2.0
#include "protect/protector.h"

#include <random>
#include <set>
#include <thread>

#include "base/log.h"
#include "guest_profile.h"
#include "net/links.h"
#include "protect/backup_link.h"
#include "protect/state_sender.h"

namespace tripod::protect {

namespace {

constexpr Milliseconds leadership_timeout{30'000};
constexpr Milliseconds links_timeout{15'000};
constexpr Milliseconds look_interval{50};
constexpr const char* other_hosts = "name each of the other hosts once";

peer::GroupKey random_key() {
    peer::GroupKey key;
    std::random_device random;
    for (auto& byte : key)
        byte = static_cast<uint8_t>(random());
    return key;
}

class Protector {
  public:
    Protector(vm::Context& context, const ProtectRequest& request, const Registry& registry, Progress& progress)
        : context_(context), request_(request), registry_(registry), progress_(progress) {}

    Result<std::shared_ptr<vm::PrimaryVm>> run() {
        // In the order in which they happen. Up to establish(), everything is undone by letting go: a backup throws
        // its copy away when its connection ends without a confirmation.
        for (const auto step :
             {&Protector::check_vm, &Protector::check_backups, &Protector::find_profile, &Protector::greet_backups,
              &Protector::make_vm, &Protector::prepare_backups, &Protector::enable_vm, &Protector::start_group,
              &Protector::check_links, &Protector::copy_state, &Protector::establish}) {
            Result<void> done = progress_.cancelled() ? fail(ErrorCode::cancelled, "cancelled") : (this->*step)();
            if (!done) {
                undo(done.error());
                return tl::unexpected(done.error());
            }
        }
        return vm_;
    }

  private:
    Result<void> check_vm() {
        if (auto fit = context_.fit(); !fit)
            return fit;
        auto toolstack = context_.open_toolstack();
        if (!toolstack)
            return tl::unexpected(toolstack.error());
        const auto domid = (*toolstack)->find(request_.vm);
        if (!domid)
            return fail(ErrorCode::no_such_vm, "no VM named " + request_.vm + " on " + context_.config.host,
                        "see \"xl list\"");
        domid_ = *domid;
        if (domid_ == DomId{})
            return fail(ErrorCode::unsupported_guest, "Domain-0 cannot be protected",
                        "name one of the guests in \"xl list\"");
        auto config = (*toolstack)->config(domid_);
        if (!config)
            return tl::unexpected(vm::as_error(config.error()));
        config_ = std::move(*config);
        if (!config_.pv)
            return fail(ErrorCode::unsupported_guest, config_.name + " is not a PV guest",
                        "only type=\"pv\" guests can be protected");
        if (config_.vcpus != 1)
            return fail(ErrorCode::unsupported_guest,
                        config_.name + " has " + std::to_string(config_.vcpus) + " vCPUs",
                        "only guests with vcpus=1 can be protected yet");
        if (config_.json.size() > peer::config_bytes_max)
            return fail(ErrorCode::unsupported_guest, "the configuration of " + config_.name + " is too long");
        if (auto fit = replicable(config_); !fit)
            return fit;
        return check_vifs();
    }

    // What holds back and moves the VM's frames knows vifs by their usual names, on Linux bridges.
    Result<void> check_vifs() {
        for (const auto& vif : config_.vifs) {
            const std::string interface = xen::Vif::device_name(domid_, vif.devid);
            const std::string which = "vif " + std::to_string(vif.devid) + " of " + config_.name;
            if (!vif.custom_name.empty() && vif.custom_name != interface)
                return fail(ErrorCode::unsupported_guest, which + " is named " + vif.custom_name + " in Domain-0",
                            "remove vifname= from its configuration and restart the VM");
            const auto bridge = net::bridge_of(interface);
            if (!bridge)
                return tl::unexpected(bridge.error());
            if (bridge->empty() || !net::check_bridge(*bridge))
                return fail(
                    ErrorCode::unsupported_guest, which + " is on no Linux bridge",
                    "routed, NAT and Open vSwitch vifs cannot be protected yet: give it bridge=NAME and the "
                    "script vif-bridge");
            bridges_[vif.devid] = request_.bridge.value_or(*bridge);
        }
        return {};
    }

    Result<void> check_backups() {
        std::set<std::string> seen;
        for (const auto& host : request_.backups) {
            if (host == context_.config.host)
                return fail(ErrorCode::bad_backups, host + " is this host itself", other_hosts);
            if (!seen.insert(host).second)
                return fail(ErrorCode::bad_backups, "backup " + host + " is named twice", other_hosts);
        }
        if (request_.backups.size() % 2 != 0 || request_.backups.empty() || request_.backups.size() > 6)
            return fail(ErrorCode::bad_backups,
                        std::to_string(request_.backups.size()) + " backups: a group needs 2, 4 or 6",
                        "with an odd number of hosts in all, a majority is always well defined");
        return {};
    }

    Result<void> find_profile() {
        const std::string image = request_.profile.value_or(config_.kernel);
        if (image.empty())
            return fail(ErrorCode::unsupported_guest,
                        "the configuration of " + config_.name + " names no kernel, so there is no profile",
                        "give its kernel image with --profile");
        progress_.say("reading the guest kernel's profile");
        const auto profile = profile_from_image(image);
        if (!profile)
            return fail(ErrorCode::unsupported_guest, profile.error().message,
                        "the guest needs a Linux kernel with BTF; name its image, or a profile made from one, with "
                        "--profile");
        profile_ = *profile;
        return {};
    }

    Result<void> greet_backups() {
        const auto own = make_hello(context_);
        for (const auto& host : request_.backups) {
            const auto at = peer_address(context_.config, host);
            if (!at)
                return tl::unexpected(at.error());
            auto link = BackupLink::open(host, at->address, at->port, own, context_.config.connect_timeout);
            if (!link)
                return tl::unexpected(link.error());
            if (link->instance() == own.instance)
                return fail(ErrorCode::bad_backups, host + " is this host itself", other_hosts);
            for (const auto& other : links_)
                if (other.instance() == link->instance() || other.host() == link->host())
                    return fail(ErrorCode::bad_backups,
                                "backups " + other.host() + " and " + host + " are one host", other_hosts);
            links_.push_back(std::move(*link));
        }
        return {};
    }

    Result<void> make_vm() {
        key_ = random_key();
        vm_ = std::make_shared<vm::PrimaryVm>(context_, config_, domid_, key_);
        if (auto opened = vm_->open_group(context_.config.listen_address); !opened)
            return opened;
        if (auto admitted = registry_.admit(vm_); !admitted)
            return admitted;
        admitted_ = true;
        context_.events.add(config_.name, event::protect_started);
        return {};
    }

    Result<void> prepare_backups() {
        members_ = {{1, context_.config.host, links_.front().local_address(), vm_->rendezvous_port()}};
        peer::Prepare prepare;
        prepare.vm = config_.name;
        prepare.uuid = config_.uuid;
        prepare.primary = context_.config.host;
        prepare.group = key_;
        prepare.config_json = config_.json;
        prepare.bridges = bridges_;
        prepare.profile = profile_;
        prepare.ring_pages = context_.config.ring_pages;
        prepare.log_bytes = context_.config.log_bytes;
        prepare.memory_kib = config_.memory_kib;
        prepare.timing = timing();
        for (auto& link : links_) {
            prepare.replica = static_cast<uint8_t>(members_.size() + 1);
            const auto prepared = link.prepare(prepare, progress_);
            if (!prepared)
                return tl::unexpected(prepared.error());
            members_.push_back({prepare.replica, link.host(), link.remote_address(), prepared->rendezvous_port});
        }
        return {};
    }

    Result<void> enable_vm() { return vm_->enable(profile_, context_.config.ring_pages); }

    Result<void> start_group() {
        progress_.say("founding the group");
        for (auto& link : links_)
            if (auto started = link.start({members_, members_.front().id}, progress_); !started)
                return started;
        if (auto started = vm_->start(members_, timing(), context_.config.log_bytes); !started)
            return started;
        return vm_->wait_for_leadership(leadership_timeout, progress_);
    }

    // Without the primary the backups must reach each other: a link that never worked is better found now.
    Result<void> check_links() {
        const auto until = std::chrono::steady_clock::now() + links_timeout;
        while (true) {
            std::string missing;
            for (auto& link : links_) {
                const auto unreached = link.unreached(progress_);
                if (!unreached)
                    return tl::unexpected(unreached.error());
                for (const auto& host : *unreached)
                    missing += (missing.empty() ? "" : ", ") + link.host() + " and " + host;
            }
            if (missing.empty())
                return {};
            if (progress_.cancelled())
                return fail(ErrorCode::cancelled, "cancelled");
            if (std::chrono::steady_clock::now() >= until)
                return fail(ErrorCode::timed_out, "no RDMA connection between " + missing,
                            "check the RDMA network between those hosts, and that both have the same key "
                            "(cluster_key_file)");
            std::this_thread::sleep_for(look_interval);
        }
    }

    Result<void> copy_state() {
        progress_.say("copying the VM's state");
        if (auto sent = send_state(context_, *vm_, links_, config_.memory_kib, progress_); !sent)
            return sent;
        progress_.say("the VM runs on; waiting for the copies");
        for (auto& link : links_)
            if (auto restored = link.restored(progress_); !restored)
                return restored;
        return {};
    }

    // Past the first confirmation there is no way back: that backup may take over from now on. One that does not
    // answer any more is a lost backup like any other.
    Result<void> establish() {
        vm_->established();
        for (auto& link : links_)
            if (auto confirmed = link.confirm(progress_); !confirmed)
                log::warning("{}: {}", config_.name, confirmed.error().message);
        return {};
    }

    void undo(const Error& why) {
        // The backups go first: a copy must not be elected while its primary lets go.
        links_.clear();
        if (!vm_)
            return;
        vm_->abandon();
        if (!admitted_)
            return;
        context_.events.add(config_.name, event::failed, why.message);
        registry_.dismiss(vm_);
    }

    peer::Timing timing() const {
        return {context_.config.heartbeat.count(), context_.config.election_min.count(),
                context_.config.election_max.count(), context_.config.lease.count(),
                context_.config.slow_backup.count()};
    }

    vm::Context& context_;
    const ProtectRequest& request_;
    const Registry& registry_;
    Progress& progress_;

    DomId domid_{};
    xen::DomainConfig config_;
    std::map<int, std::string> bridges_;
    tripod_profile profile_{};
    peer::GroupKey key_{};
    std::vector<BackupLink> links_;
    std::vector<group::Member> members_;
    std::shared_ptr<vm::PrimaryVm> vm_;
    bool admitted_ = false;
};

} // namespace

Result<void> replicable(const xen::DomainConfig& config) {
    if (config.disks.empty())
        return {};
    return fail(ErrorCode::unsupported_guest,
                config.name + " has the disk " + config.disks.front() + ", and disks are not replicated yet",
                "only guests without disks can be protected; \"xl block-detach\" takes one away");
}

peer::Hello make_hello(const vm::Context& context) {
    peer::Hello hello;
    hello.xen_interface_version = context.xen_interface_version;
    hello.host = context.config.host;
    hello.instance = context.instance;
    if (auto fit = context.fit(); !fit)
        hello.refusal = fit.error().message;
    return hello;
}

Result<std::shared_ptr<vm::PrimaryVm>> protect(vm::Context& context, const ProtectRequest& request,
                                               const Registry& registry, Progress& progress) {
    return Protector(context, request, registry, progress).run();
}

} // namespace tripod::protect
