// SPDX-License-Identifier: Apache-2.0
#include "checking/trace_recorder.h"

#include <fmt/format.h>
#include <iterator>
#include <string_view>

namespace rdma_paxos::checking {

/// One incarnation of a replica: a replica of the model.
struct TraceRecorder::Life final : TransitionObserver {
    Life(TraceRecorder& recorder_, int number_, ReplicaId id_, bool founding_, const Replica& replica_)
        : recorder(recorder_), number(number_), id(id_), founding(founding_), incarnation(replica_.incarnation()),
          replica(&replica_) {}
    void on_transition(const Transition& transition) override { recorder.on_transition(*this, transition); }

    TraceRecorder& recorder;
    int number;
    ReplicaId id;
    bool founding;
    std::uint64_t incarnation;
    const Replica* replica; ///< null: gone
};

TraceRecorder::TraceRecorder(std::vector<ReplicaId> voters) : voters_(std::move(voters)) {}
TraceRecorder::~TraceRecorder() = default;

// The model's replicas 0.. are the founding voters in order of their ids, whenever they are started.
void TraceRecorder::on_start(ReplicaId id, bool founding, Replica& replica) {
    if (lives_.empty()) {
        lives_.resize(voters_.size());
        const std::uint64_t all = (std::uint64_t{1} << voters_.size()) - 1;
        text_ = fmt::format("# rdma-paxos trace\nmembership 0 0 0 {} 0 0\n", all);
    }
    std::size_t number = lives_.size();
    for (std::size_t i = 0; founding && i < voters_.size(); ++i)
        if (voters_[i] == id && !lives_[i])
            number = i;
    if (number == lives_.size())
        lives_.emplace_back();
    if (number >= lives_max)
        unfit_ = "too many lives";
    lives_[number] = std::make_unique<Life>(*this, int(number), id, founding, replica);
    present_[id] = int(number);
    replica.observe(lives_[number].get());
}

void TraceRecorder::on_crash(ReplicaId id) {
    const auto found = present_.find(id);
    if (found == present_.end())
        return;
    lives_[std::size_t(found->second)]->replica = nullptr;
    present_.erase(found);
}

void TraceRecorder::on_transition(Life& life, const Transition& transition) {
    // The life that this replica knows; there may be another by now.
    const int peer =
        transition.peer == nobody || transition.peer == life.id
            ? life.number
            : life_of({.id = transition.peer, .incarnation = life.replica->peer(transition.peer).incarnation});
    const auto step = [&](const char* kind, int number = 0) {
        tell({kind, life.number, peer, transition.term.value(), transition.index.value(),
              transition.entry_term.value(), number});
    };
    switch (transition.kind) {
    case TransitionKind::doubt:
        return; // changes nothing that the model knows of
    case TransitionKind::stand:
        return step("stand");
    case TransitionKind::vote:
        return step("vote");
    case TransitionKind::adopt:
        return step("adopt");
    case TransitionKind::lead:
        return step("lead");
    case TransitionKind::follow:
        return step("follow", transition.peer != nobody);
    case TransitionKind::step_down:
        return step("step_down");
    case TransitionKind::append:
        return step("append");
    case TransitionKind::hold:
        return step("hold");
    case TransitionKind::commit:
        tell_acknowledgements(life, transition);
        return step("commit");
    case TransitionKind::configure:
        return tell_change(life, transition, number_of(*transition.membership));
    case TransitionKind::install:
        return tell_install(transition, life.number);
    }
}

// A leader that commits has counted on somebody: on those who acknowledged so much by now, be they dead since.
void TraceRecorder::tell_acknowledgements(const Life& leader, const Transition& commit) {
    if (leader.replica->role() != Role::leader)
        return;
    for (const auto& life : lives_) {
        if (!life || life.get() == &leader)
            continue;
        const PeerStatus peer = leader.replica->peer(life->id);
        if (peer.incarnation == life->incarnation && peer.acked >= commit.index)
            tell({"ack", leader.number, life->number, commit.term.value(), commit.index.value(), 0, 0});
    }
}

// What a leader wrote is a membership; what others tell is what they found in their log.
void TraceRecorder::tell_change(Life& life, const Transition& transition, int number) {
    const Membership& membership = *transition.membership;
    const std::uint64_t index = membership.index.value();
    if (!run_.empty() && run_.back().self == life.number && std::string_view(run_.back().kind) == "append" &&
        run_.back().index == index) {
        run_.back().kind = "change";
        run_.back().number = number;
        return;
    }
    tell({"configure", life.number, life.number, transition.term.value(), index, 0, index == 0 ? 0 : number});
}

// Told when it is done, after what follows from it.
void TraceRecorder::tell_install(const Transition& transition, int life) {
    auto at = run_.size();
    const auto follows = [this](std::size_t i) {
        const std::string_view kind = run_[i].kind;
        return kind == "hold" || kind == "configure" || kind == "commit";
    };
    while (at > 0 && run_[at - 1].self == life && follows(at - 1))
        --at;
    run_.insert(run_.begin() + std::ptrdiff_t(at),
                Step{"install", life, life, transition.term.value(), transition.index.value(),
                     transition.entry_term.value(), 0});
}

void TraceRecorder::tell(const Step& step) {
    if (!run_.empty() && run_.back().self != step.self)
        flush();
    run_.push_back(step);
}

void TraceRecorder::flush() {
    for (const Step& s : run_)
        fmt::format_to(std::back_inserter(text_), "{} {} {} {} {} {} {}\n", s.kind, s.self, s.peer, s.term, s.index,
                       s.entry_term, s.number);
    run_.clear();
}

std::string TraceRecorder::text() {
    flush();
    return text_ + "# end\n";
}

int TraceRecorder::life_of(const Member& member) {
    for (const auto& life : lives_)
        if (life && life->id == member.id &&
            (member.incarnation == 0 ? life->founding : life->incarnation == member.incarnation))
            return life->number;
    unfit_ = fmt::format("{} of incarnation {} never lived", member.id.value(), member.incarnation);
    return 0;
}

std::uint64_t TraceRecorder::lives_of(const MemberSet& set) {
    std::uint64_t lives = 0;
    for (const Member& member : set)
        lives |= std::uint64_t{1} << life_of(member);
    return lives;
}

int TraceRecorder::number_of(const Membership& membership) {
    const std::string what =
        fmt::format("{} {} {}", int(membership.phase), lives_of(membership.voters), lives_of(membership.target));
    const auto [found, fresh] = memberships_.try_emplace(what, int(memberships_.size()) + 1);
    if (fresh)
        fmt::format_to(std::back_inserter(text_), "membership 0 0 {} {}\n", what, found->second);
    return found->second;
}

} // namespace rdma_paxos::checking
