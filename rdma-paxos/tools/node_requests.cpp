// SPDX-License-Identifier: Apache-2.0
#include "../tools/node.h"

#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sstream>

namespace rdma_paxos::tools {

namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> split(const std::string& line, char separator) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; std::getline(stream, word, separator);)
        if (!word.empty())
            words.push_back(word);
    return words;
}

std::optional<std::uint64_t> number(const std::string& word) {
    std::uint64_t value = 0;
    const auto end = word.data() + word.size();
    const auto result = std::from_chars(word.data(), end, value);
    return result.ec == std::errc() && result.ptr == end ? std::optional(value) : std::nullopt;
}

Json ids_of(const MemberSet& members) {
    Json ids = Json::array();
    for (const Member& member : members)
        ids.push_back(member.id.value());
    return ids;
}

} // namespace

void Node::handle(const LineServer::Request& request) {
    std::vector<std::string> words = split(request.line, ' ');
    const std::string verb = words.empty() ? "" : words[0];
    const auto answer = [&](const std::string& line) { server_->answer(request.connection, line); };
    if (verb == "read" && words.size() == 2)
        return handle_operation(request, OperationKind::read, words);
    if (verb == "write" && words.size() == 3)
        return handle_operation(request, OperationKind::write, words);
    if (verb == "cas" && words.size() == 4)
        return handle_operation(request, OperationKind::compare_and_set, words);
    if (verb == "lease-read" && words.size() == 2) {
        if (!lease_holds() || !number(words[1]))
            return handle_operation(request, OperationKind::read, words);
        ++lease_reads_;
        return answer(fmt::format("ok {}", store_.get(static_cast<std::uint32_t>(*number(words[1])))));
    }
    if (verb == "status")
        return answer(status());
    if (verb == "transfer" && words.size() == 2) {
        const auto done =
            replica_->transfer_leadership(ReplicaId(static_cast<std::uint8_t>(number(words[1]).value_or(0))));
        return answer(done ? "ok" : fmt::format("no {}", to_string(done.error())));
    }
    if (verb == "members" && words.size() == 2)
        return answer(handle_members(words[1]));
    if (verb == "cancel")
        return answer(replica_->cancel_change() ? "ok" : "no change to cancel");
    if (verb == "introduce" && words.size() == 2)
        return answer(handle_introduce(words[1]));
    if (verb == "install" && words.size() == 3)
        return answer(handle_install(request));
    answer("no such request");
}

std::string Node::refusal() const {
    return fmt::format("no leader {}", replica_->leader().value());
}

/// Everything that was ever acknowledged has been applied here, and nobody else can have acknowledged anything
/// since.
bool Node::lease_holds() const {
    return replica_->role() == Role::leader && replica_->applied_index() >= replica_->term_start() &&
           monotonic_now() < replica_->lease_deadline();
}

void Node::handle_operation(const LineServer::Request& request, OperationKind kind,
                            std::vector<std::string>& words) {
    const auto answer = [&](const std::string& line) { server_->answer(request.connection, line); };
    std::array<std::uint64_t, 3> numbers{};
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto value = number(words[i]);
        if (!value)
            return answer("no number: " + words[i]);
        numbers[i - 1] = *value;
    }
    Command command;
    command.kind = kind;
    command.key = static_cast<std::uint32_t>(numbers[0]);
    command.argument = kind == OperationKind::compare_and_set ? numbers[2] : numbers[1];
    command.expected = numbers[1];
    command.origin = replica_->incarnation();
    command.sequence = ++sequence_;
    if (replica_->role() != Role::leader)
        return answer(refusal());
    // Known before it is proposed: a group of one commits at once.
    Pending& pending = pending_[command.sequence];
    pending = {request.connection, Index(), replica_->term()};
    const auto index = replica_->propose(encode(command));
    if (!index) {
        pending_.erase(command.sequence);
        return answer(index.error() == ProposeError::not_leader ? refusal()
                                                                : fmt::format("no {}", to_string(index.error())));
    }
    if (const auto entry = pending_.find(command.sequence); entry != pending_.end()) {
        entry->second.index = *index;
        if (options_.bug_early_answer && kind == OperationKind::write) {
            answer("ok 0");
            pending_.erase(entry);
        }
    }
}

std::string Node::handle_members(const std::string& list) {
    std::vector<Member> members;
    for (std::string word : split(list, ',')) {
        Member member;
        if (word.back() == 'w') {
            member.witness = true;
            word.pop_back();
        }
        const auto id = number(word);
        if (!id || *id > max_replica_id)
            return "no member: " + word;
        member.id = ReplicaId(static_cast<std::uint8_t>(*id));
        members.push_back(member);
    }
    const auto done = replica_->change_membership(members);
    if (!done && done.error() == ChangeError::not_leader)
        return refusal();
    return done ? "ok" : fmt::format("no {}", to_string(done.error()));
}

std::string Node::handle_introduce(const std::string& text) {
    const auto peer = parse_peer(text);
    if (!peer)
        return "no " + peer.error().what;
    if (peer->first == self_)
        return "no need: that is this node";
    peers_[peer->first] = peer->second;
    if (hub_)
        hub_->introduce(group_, peer->first, peer->second);
    return "ok";
}

std::string Node::handle_install(const LineServer::Request& request) {
    std::size_t size = 0;
    (void)std::sscanf(request.line.c_str(), "install %zu", &size);
    const Bytes bytes(request.attachment);
    const auto point = size <= bytes.size() ? decode_snapshot_point(bytes.first(size), group_) : std::nullopt;
    Store store;
    if (!point || !store.restore(bytes.subspan(size)))
        return "no state of this group, or damaged";
    if (replica_->role() == Role::leader || point->index < replica_->applied_index())
        return "no need: this node is further";
    // On disk first: the storage drops the log before the point, and a restart needs the state then.
    if (state_file_)
        if (const auto done = state_file_->write_now(*point, store.save()); !done)
            return "no " + done.error().what;
    if (auto done = replica_->install_snapshot(*point); !done)
        return "no " + done.error().what;
    store_ = std::move(store);
    ++installed_;
    // What became of them is in the state, but not told apart there.
    for (const auto& [sequence, pending] : pending_)
        server_->answer(pending.connection, "unknown: this node took a state that may hold it");
    pending_.clear();
    say("installed", fmt::format("state at index {}, digest {:016x} of {} entries", point->index.value(),
                                 store_.digest(), store_.entries()));
    return "ok";
}

std::string Node::status() const {
    const Replica& replica = *replica_;
    const Membership& membership = replica.membership();
    const Counters counters = replica.counters();
    Json json{
        {"version", 1},
        {"id", self_.value()},
        {"incarnation", fmt::format("{:016x}", replica.incarnation())},
        {"role", to_string(replica.role())},
        {"term", replica.term().value()},
        {"leader", replica.leader().value()},
        {"last", replica.last_index().value()},
        {"commit", replica.commit_index().value()},
        {"applied", replica.applied_index().value()},
        {"entries", store_.entries()},
        {"digest", fmt::format("{:016x}", store_.digest())},
        {"acknowledged", acknowledged_},
        {"lease_reads", lease_reads_},
        {"lost", lost_},
        {"installed", installed_},
        {"shipped", shipped_},
        {"lease_ms", replica.lease_deadline() > monotonic_now()
                         ? double((replica.lease_deadline() - monotonic_now()).count()) / 1e6
                         : 0.0},
        {"phase", static_cast<int>(membership.phase)},
        {"voters", ids_of(membership.voters)},
        {"target", ids_of(membership.target)},
    };
    json["awakening"] = {{"slept_s", std::chrono::duration<double>(awakening_.slept).count()},
                         {"led_term", awakening_.term.value()},
                         {"acknowledged", awakening_.acknowledged},
                         {"deposed", awakening_.deposed}};
    json["counters"] = {{"elections", counters.elections}, {"wins", counters.wins},
                        {"pauses", counters.pauses},       {"fences", counters.fences},
                        {"transfers", counters.transfers}, {"catch_ups", counters.catch_ups},
                        {"refusals", counters.refusals}};
    json["peers"] = Json::array();
    for (const auto& [id, address] : peers_) {
        if (id == self_)
            continue;
        const PeerStatus peer = replica.peer(id);
        json["peers"].push_back({{"id", id.value()},
                                 {"alive", peer.alive},
                                 {"board_up", peer.board_up},
                                 {"log_up", peer.log_up},
                                 {"lagging", peer.lagging},
                                 {"replaced", peer.replaced},
                                 {"learner", peer.learner},
                                 {"refused_ring", peer.refused_ring},
                                 {"acked", peer.acked.value()},
                                 {"applied", peer.applied.value()}});
    }
    if (replica.failure())
        json["failure"] = replica.failure()->what;
    return json.dump();
}

} // namespace rdma_paxos::tools
