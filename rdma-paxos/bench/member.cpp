// SPDX-License-Identifier: Apache-2.0
#include "../bench/member.h"

#include "../tools/peer_list.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>
#include <sys/prctl.h>

namespace rdma_paxos::bench {

namespace {

tl::expected<std::map<ReplicaId, TcpAddress>, Error> parse_peers(const MemberOptions& options) {
    std::map<ReplicaId, TcpAddress> peers;
    for (const std::string& text : options.peers) {
        const auto peer = tools::parse_peer(text, options.fabric == "verbs");
        if (!peer)
            return tl::make_unexpected(peer.error());
        peers.insert_or_assign(peer->first, peer->second);
    }
    return peers;
}

} // namespace

void add_member_options(CLI::App& app, MemberOptions& options) {
    app.add_option("--fabric", options.fabric, "verbs or shm")->check(CLI::IsMember({"verbs", "shm"}));
    app.add_option("--id", options.id, "this member")->required();
    app.add_option("--peers", options.peers, "all members, as ID=ADDRESS:PORT (shm: ID), separated by commas")
        ->delimiter(',')
        ->required();
    app.add_option("--device", options.device, "RDMA device");
    app.add_option("--key", options.key, "file with the cluster key, the same 32 random bytes for all (verbs)");
    app.add_option("--group", options.group, "name of the group, up to 16 characters");
    app.add_option("--initial-leader", options.initial_leader, "the member that leads first");
    app.add_option("--ring-mib", options.ring_mib, "size of the log in memory");
    app.add_flag("--lab-timing", options.lab_timing, "time-outs for emulated hosts");
    app.add_option("--wait", options.wait, "for completions: adaptive, spin or sleep")
        ->transform(CLI::CheckedTransformer(std::map<std::string, WaitMode>{
            {"adaptive", WaitMode::adaptive}, {"spin", WaitMode::spin}, {"sleep", WaitMode::sleep}}));
    app.add_flag("--patient", options.patient, "long election time-outs: members share processors");
    app.add_flag("--rejoin", options.rejoin, "this member ran before and lost its memory");
}

tl::expected<std::unique_ptr<Member>, Error> Member::create(const MemberOptions& options, Listener& listener) {
    const auto peers = parse_peers(options);
    if (!peers)
        return tl::make_unexpected(peers.error());
    prctl(PR_SET_TIMERSLACK, 1000UL);
    Config config;
    std::copy_n(options.group.begin(), std::min(options.group.size(), config.group.size()), config.group.begin());
    config.self = ReplicaId(static_cast<std::uint8_t>(options.id));
    config.initial_leader = ReplicaId(static_cast<std::uint8_t>(options.initial_leader));
    config.founding = !options.rejoin;
    config.ring_bytes = options.ring_mib << 20;
    config.seed = std::random_device{}();
    if (options.lab_timing)
        config.timing = lab_timing();
    if (options.patient) {
        config.timing.heartbeat = std::max<Nanoseconds>(config.timing.heartbeat, 5ms);
        config.timing.election_timeout_min = 500ms;
        config.timing.election_timeout_max = 1s;
        config.timing.lease = 400ms;
        if (options.looks_seldom)
            config.timing.follower_poll = 10ms;
        config.timing.slow_follower_grace = 1h; // a dropped one would need a snapshot, and nobody has one
    }
    auto member = std::make_unique<Member>();
    for (const auto& [id, address] : *peers) {
        config.members.push_back(id);
        if (id != config.self)
            member->others_.push_back(id);
    }
    if (!peers->contains(config.self))
        return tl::make_unexpected(Error{"this member's own --id is missing in --peers"});
    member->self_ = config.self;
    member->peers_ = *peers;
    member->fabric_kind_ = options.fabric;
    member->group_ = config.group;
    if (options.fabric == "verbs") {
        VerbsConfig verbs;
        verbs.device = options.device;
        if (options.patient)
            verbs.retry_count = 6; // rxe takes 7 for "for ever"
        auto device = VerbsDevice::open(verbs);
        if (!device)
            return tl::make_unexpected(device.error());
        member->device_ = std::move(*device);
        if (options.key.empty())
            return tl::make_unexpected(Error{"verbs needs --key FILE: make one with `(umask 077; head -c 32 "
                                             "/dev/urandom > FILE)` and copy it to all hosts"});
        const auto key = ClusterKey::load(options.key);
        if (!key)
            return tl::make_unexpected(key.error());
        auto hub = TcpRendezvousHub::listen(peers->at(config.self), *key);
        if (!hub)
            return tl::make_unexpected(hub.error());
        member->hub_ = std::move(*hub);
    }
    auto links = member->make_links(config.group, memory_layout(config.ring_bytes));
    if (!links)
        return tl::make_unexpected(links.error());
    member->fabric_ = std::move(links->fabric);
    member->rendezvous_ = std::move(links->rendezvous);
    auto replica = Replica::create(config, *member->fabric_, *member->rendezvous_, listener);
    if (!replica)
        return tl::make_unexpected(replica.error());
    member->replica_ = std::move(*replica);
    WaitOptions waiting;
    waiting.mode = options.wait;
    member->waiter_ = std::make_unique<Waiter>(*member->fabric_, waiting);
    return member;
}

tl::expected<Links, Error> Member::make_links(const GroupId& group, const MemoryLayout& layout) {
    std::vector<ReplicaId> members;
    for (const auto& [id, address] : peers_)
        members.push_back(id);
    if (fabric_kind_ == "shm")
        return make_shm_fabric(group, self_, members, layout);
    auto fabric = make_verbs_fabric(device_, self_, members, layout);
    if (!fabric)
        return tl::make_unexpected(fabric.error());
    auto rendezvous = hub_->join(group, self_, peers_);
    if (!rendezvous)
        return tl::make_unexpected(rendezvous.error());
    return Links{std::move(*fabric), std::move(*rendezvous)};
}

tl::expected<Links, Error> Member::more_links(const MemoryLayout& layout, const std::string& name) {
    GroupId group = group_;
    for (std::size_t i = 0; i < name.size(); ++i)
        group[(i + 8) % group.size()] ^= static_cast<std::uint8_t>(name[i]);
    return make_links(group, layout);
}

void Member::wait_until(Nanoseconds deadline) {
    const Replica& replica = *replica_;
    const Index committed = replica.commit_index();
    const bool expecting = replica.role() == Role::leader && committed < replica.last_index();
    hub_fds_.clear();
    if (hub_)
        for (const int fd : hub_->fds())
            hub_fds_.push_back({fd, POLLIN, 0});
    waiter_->wait(hub_fds_, std::min(deadline, replica.next_deadline()), expecting, [&](Nanoseconds time) {
        replica_->tick(time);
        return replica.commit_index() != committed;
    });
    if (hub_)
        hub_->poll(monotonic_now());
}

} // namespace rdma_paxos::bench
