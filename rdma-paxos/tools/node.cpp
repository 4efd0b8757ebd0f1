// SPDX-License-Identifier: Apache-2.0
#include "../tools/node.h"

#include "rdma_paxos/file_storage.h"
#include "rdma_paxos/shm_fabric.h"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <random>
#include <sys/prctl.h>

namespace rdma_paxos::tools {

namespace {

constexpr Nanoseconds pause_min = 1s;     ///< between two ticks: this process was stopped
constexpr Nanoseconds ship_retry = 500ms; ///< between two attempts to ship a state to the same replica
constexpr Nanoseconds ship_patience = 5s; ///< for one attempt
constexpr Nanoseconds sleep_max = 100ms;  ///< so that a signal is noticed soon

ReplicaId replica_id(unsigned id) {
    return ReplicaId(static_cast<std::uint8_t>(id));
}

} // namespace

Node::Node(const NodeOptions& options) : options_(options), self_(replica_id(options.id)), born_(monotonic_now()) {
    std::copy_n(options.group.begin(), std::min(options.group.size(), group_.size()), group_.begin());
}

Node::~Node() = default;

tl::expected<std::unique_ptr<Node>, Error> Node::create(const NodeOptions& options) {
    auto node = std::unique_ptr<Node>(new Node(options));
    for (const std::string& text : options.peers) {
        const auto peer = parse_peer(text);
        if (!peer)
            return tl::make_unexpected(peer.error());
        node->peers_.insert(*peer);
    }
    if (!node->peers_.contains(node->self_))
        return tl::make_unexpected(Error{"this node's own --id is missing in --peers"});
    if (auto ok = node->open(); !ok)
        return tl::make_unexpected(ok.error());
    return node;
}

tl::expected<void, Error> Node::open() {
    prctl(PR_SET_TIMERSLACK, 1000UL);
    Config config;
    config.group = group_;
    config.self = self_;
    config.initial_leader = replica_id(options_.initial_leader);
    config.preferred_leader = replica_id(options_.preferred_leader);
    config.founding = !options_.rejoin;
    config.ring_bytes = options_.ring_kib << 10;
    config.max_entry_bytes = std::min(config.max_entry_bytes, config.ring_bytes / 8);
    config.seed = std::random_device{}();
    if (options_.lab_timing)
        config.timing = lab_timing();
    for (const unsigned id : options_.members)
        config.members.push_back(replica_id(id));
    if (options_.members.empty() || options_.rejoin) {
        config.members.clear();
        for (const auto& [id, address] : peers_)
            config.members.push_back(id);
    }
    for (const unsigned id : options_.witnesses)
        config.witnesses.push_back(replica_id(id));

    if (auto ok = open_links(config); !ok)
        return ok;
    std::optional<SnapshotPoint> point;
    if (!options_.data.empty()) {
        auto storage = open_file_storage({.folder = options_.data, .group = group_, .self = self_});
        if (!storage)
            return tl::make_unexpected(storage.error());
        storage_ = std::move(*storage);
        if (!storage_->recovered().report.empty())
            say("recovered", storage_->recovered().report);
        state_file_ = std::make_unique<StateFile>(options_.data, group_);
        auto content = state_file_->read();
        if (!content)
            return tl::make_unexpected(content.error());
        if (*content) {
            if (!store_.restore((*content)->state))
                return tl::make_unexpected(Error{"the state in " + options_.data + " is damaged"});
            point = (*content)->point;
        }
    }
    auto replica = Replica::create(config, *fabric_, *rendezvous_, *this, storage_.get(), point);
    if (!replica)
        return tl::make_unexpected(replica.error());
    replica_ = std::move(*replica);
    return {};
}

tl::expected<void, Error> Node::open_links(const Config& config) {
    const bool verbs = options_.fabric == "verbs";
    if (verbs) {
        const auto key = ClusterKey::load(options_.key);
        if (!key)
            return tl::make_unexpected(key.error());
        hub_ = TcpRendezvousHub::without_listener(*key);
        hub_->on_rejection([this](const RejectionReport& report) { say("rejected", report.text); });
    }
    auto server = LineServer::listen({options_.listen, peers_.at(self_).port}, hub_.get());
    if (!server)
        return tl::make_unexpected(server.error());
    server_ = std::move(*server);
    server_->attachment_size = [](const std::string& line) {
        std::size_t point = 0, state = 0;
        return std::sscanf(line.c_str(), "install %zu %zu", &point, &state) == 2 ? point + state : 0;
    };
    if (!verbs) {
        auto shm = make_shm_fabric(group_, self_, config.members, memory_layout(config.ring_bytes));
        if (!shm)
            return tl::make_unexpected(shm.error());
        fabric_ = std::move(shm->fabric);
        rendezvous_ = std::move(shm->rendezvous);
        return {};
    }
    VerbsConfig device;
    device.device = options_.device;
    auto opened = VerbsDevice::open(device);
    if (!opened)
        return tl::make_unexpected(opened.error());
    device_ = std::move(*opened);
    auto fabric = make_verbs_fabric(device_, self_, config.members, memory_layout(config.ring_bytes));
    if (!fabric)
        return tl::make_unexpected(fabric.error());
    fabric_ = std::move(*fabric);
    auto rendezvous = hub_->join(group_, self_, peers_);
    if (!rendezvous)
        return tl::make_unexpected(rendezvous.error());
    rendezvous_ = std::move(*rendezvous);
    return {};
}

bool Node::on_commit(Index index, Term term, Bytes body) {
    const auto command = decode_command(body);
    if (!command) {
        store_.skip(index, body);
        return true;
    }
    const Value found = store_.apply(index, body, *command);
    if (!replica_ || command->origin != replica_->incarnation())
        return true;
    const auto waiting = pending_.find(command->sequence);
    if (waiting == pending_.end())
        return true;
    server_->answer(waiting->second.connection, fmt::format("ok {}", found));
    pending_.erase(waiting);
    ++acknowledged_;
    if (term == awakening_.term && command->sequence >= awakening_.first_sequence)
        ++awakening_.acknowledged;
    return true;
}

void Node::on_role(Role role, Term term) {
    say("role", fmt::format("{} term {}", to_string(role), term.value()));
    if (awakening_.term != Term() && term > awakening_.term)
        awakening_.deposed = true;
}

void Node::on_membership(const Membership& membership) {
    say("members", to_string(membership));
}

void Node::on_refused(ReplicaId, const Error& why) {
    say("refused", why.what);
}

void Node::on_failure(const Error& error) {
    say("failure", error.what);
    failed_ = true;
}

void Node::say(const char* what, const std::string& text) const {
    fmt::print("{:9.3f} {} {}\n", std::chrono::duration<double>(monotonic_now() - born_).count(), what, text);
    std::fflush(stdout);
}

/// An entry of ours at whose index another one was committed will never be.
void Node::give_up_lost() {
    const Index applied = replica_->applied_index();
    for (auto entry = pending_.begin(); entry != pending_.end();) {
        if (entry->second.index == Index() || entry->second.index > applied) {
            ++entry;
            continue;
        }
        server_->answer(entry->second.connection, "no lost: another leader's entry took its place");
        ++lost_;
        entry = pending_.erase(entry);
    }
}

void Node::ship_states(Nanoseconds at) {
    std::erase_if(senders_, [&](auto& entry) {
        const auto said = entry.second->poll(at);
        if (said) {
            say("shipped", fmt::format("to {}: {}", entry.first.value(), *said));
            shipped_ += *said == "ok";
        }
        return said.has_value();
    });
    if (replica_->role() != Role::leader)
        return;
    for (const auto& [id, address] : peers_) {
        if (id == self_ || senders_.contains(id) || !replica_->peer(id).lagging || at < next_ship_[id])
            continue;
        next_ship_[id] = at + ship_retry;
        const auto point = encode(replica_->snapshot_point(), group_);
        senders_[id] = std::make_unique<StateSender>(address, point, store_.save(), at + ship_patience);
    }
}

void Node::save_state(Nanoseconds at) {
    if (!state_file_)
        return;
    if (const auto done = state_file_->written()) {
        if (*done)
            replica_->snapshot_saved(**done);
        else
            on_failure(done->error());
    }
    if (at < next_save_ || state_file_->busy())
        return;
    next_save_ = at + std::chrono::milliseconds(static_cast<std::int64_t>(options_.save_seconds * 1000));
    if (replica_->applied_index() != Index())
        state_file_->write(replica_->snapshot_point(), store_.save());
}

/// Stopped in the midst of a round, a leader may have stepped down before this is noticed: so what counts is what
/// it was when that round began.
void Node::tick() {
    const Nanoseconds at = monotonic_now();
    const Term led = replica_->role() == Role::leader ? replica_->term() : Term();
    const Nanoseconds gap = at - last_tick_;
    if (last_tick_ != Nanoseconds() && gap >= pause_min) {
        awakening_.slept = gap;
        awakening_.term = led_ != Term() ? led_ : led;
        awakening_.first_sequence = sequence_ + 1;
        awakening_.acknowledged = 0;
        awakening_.deposed = awakening_.term != led;
        say("woke", fmt::format("after {:.1f} s, led term {}", std::chrono::duration<double>(gap).count(),
                                awakening_.term.value()));
    }
    last_tick_ = at;
    led_ = led;
    replica_->tick(at);
}

void Node::sleep() {
    fabric_->arm();
    tick(); // a completion may have come before arm()
    const Nanoseconds left = std::min(replica_->next_deadline() - monotonic_now(), sleep_max);
    if (left <= Nanoseconds(0))
        return;
    std::vector<pollfd> fds;
    for (const int fd : fabric_->event_fds())
        fds.push_back({fd, POLLIN, 0});
    if (hub_)
        for (const int fd : hub_->fds())
            fds.push_back({fd, POLLIN, 0});
    if (storage_ && storage_->event_fd() >= 0)
        fds.push_back({storage_->event_fd(), POLLIN, 0});
    server_->add_fds(fds);
    const timespec wait{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    ppoll(fds.data(), fds.size(), &wait, nullptr);
}

int Node::run(const volatile std::sig_atomic_t& stop) {
    say("runs", fmt::format("node {} incarnation {:016x} port {}", self_.value(), replica_->incarnation(),
                            server_->port()));
    while (!stop && !failed_) {
        const Nanoseconds at = monotonic_now();
        if (hub_)
            hub_->poll(at);
        tick();
        for (const LineServer::Request& request : server_->poll())
            handle(request);
        replica_->flush(monotonic_now());
        give_up_lost();
        ship_states(at);
        save_state(at);
        sleep();
    }
    say("end", fmt::format("digest {:016x} of {} entries", store_.digest(), store_.entries()));
    return failed_ ? 3 : 0;
}

} // namespace rdma_paxos::tools
