// SPDX-License-Identifier: Apache-2.0
#include "checking/trace_recorder.h"

#include "consensus/log_ring.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <iterator>
#include <optional>
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

    std::map<Term, int> votes;       ///< for which life, in which term
    std::vector<Step> held_back;     ///< until it is told what it has recovered
    std::uint64_t state = 0;         ///< of its user, when it began anew
    std::optional<Step> restarted{}; ///< where its log begins now; until it has recovered
};

namespace {

/// The last entry in a stretch of whole entries, as they lay in the ring; none: it is but a filler.
std::optional<EntryHeader> last_entry(std::uint64_t position, Bytes bytes, std::uint64_t ring_bytes) {
    std::optional<EntryHeader> last;
    for (std::size_t at = 0; at + sizeof(EntryHeader) <= bytes.size();) {
        const std::uint64_t to_ring_end = ring_bytes - (position + at) % ring_bytes;
        if (to_ring_end < sizeof(EntryHeader)) { // not used
            at += to_ring_end;
            continue;
        }
        EntryHeader header;
        std::memcpy(&header, bytes.data() + at, sizeof header);
        if (header.kind != EntryKind::filler)
            last = header;
        at += sizeof header + (header.length + std::size_t{7}) / 8 * 8;
    }
    return last;
}

} // namespace

/// Hands everything on, and tells of each thing twice: when the replica hands it over, and when the replica hears
/// that it is durable. So what is told is what the disk says, whatever the replica makes of it.
class TraceRecorder::WatchedStorage final : public Storage {
  public:
    WatchedStorage(TraceRecorder& recorder, ReplicaId id, std::uint64_t ring_bytes,
                   std::unique_ptr<Storage> storage)
        : recorder_(recorder), id_(id), ring_bytes_(ring_bytes), storage_(std::move(storage)) {
        recorder_.storages_[id_] = this;
    }
    ~WatchedStorage() override { recorder_.storages_.erase(id_); }
    WatchedStorage(const WatchedStorage&) = delete;
    WatchedStorage& operator=(const WatchedStorage&) = delete;

    void belongs_to(Life& life) { life_ = &life; }

    const Recovered& recovered() const override { return storage_->recovered(); }
    std::optional<Stretch> read_back() override { return storage_->read_back(); }
    const std::optional<Error>& failure() const override { return storage_->failure(); }
    int event_fd() const override { return storage_->event_fd(); }

    Ticket store_log(std::uint64_t position, Bytes bytes) override {
        const Ticket ticket = storage_->store_log(position, bytes);
        const auto last = last_entry(position, bytes, ring_bytes_);
        cuts_ = ticket != 0 && bytes.empty(); // a base follows
        if (ticket == 0 || !last)
            return ticket;
        const Step step{"write", 0, 0, 0, last->index, last->term, 0};
        tell(step);
        under_way_.push_back({ticket, step});
        under_way_.back().step.kind = "disk_log";
        return ticket;
    }

    Ticket store_state(const HardState& state) override {
        const Ticket ticket = storage_->store_state(state);
        int vote = 0;
        if (const auto found = life_->votes.find(state.term); found != life_->votes.end())
            vote = found->second;
        if (ticket != 0)
            under_way_.push_back(
                {ticket, {"disk_state", 0, vote, state.term.value(), 0, 0, state.voted_for != nobody}});
        return ticket;
    }

    Ticket store_base(const SnapshotPoint& point) override {
        const Ticket ticket = storage_->store_base(point);
        if (ticket != 0 && point.index != Index())
            under_way_.push_back({ticket, {"disk_base", 0, 0, 0, point.index.value(), point.term.value(), cuts_}});
        cuts_ = false;
        return ticket;
    }

    Ticket store_repaired() override {
        tell({"settle", 0, 0, 0, 0, 0, 0});
        return storage_->store_repaired();
    }

    Ticket durable() override {
        const Ticket ticket = storage_->durable();
        while (!under_way_.empty() && under_way_.front().ticket <= ticket) {
            tell(under_way_.front().step);
            under_way_.pop_front();
        }
        return ticket;
    }

  private:
    struct UnderWay {
        Ticket ticket;
        Step step;
    };

    void tell(Step step) {
        step.self = life_->number;
        if (step.peer == 0 && step.number == 0)
            step.peer = step.self;
        recorder_.tell(step);
    }

    TraceRecorder& recorder_;
    ReplicaId id_;
    std::uint64_t ring_bytes_;
    std::unique_ptr<Storage> storage_;
    Life* life_ = nullptr;
    std::deque<UnderWay> under_way_;
    bool cuts_ = false;
};

TraceRecorder::TraceRecorder(std::vector<ReplicaId> voters) : voters_(std::move(voters)) {}
TraceRecorder::~TraceRecorder() = default;

std::unique_ptr<Storage> TraceRecorder::watch(ReplicaId id, std::uint64_t ring_bytes,
                                              std::unique_ptr<Storage> storage) {
    return std::make_unique<WatchedStorage>(*this, id, ring_bytes, std::move(storage));
}

void TraceRecorder::on_start(ReplicaId id, bool founding, Replica& replica, Index state) {
    const auto storage = storages_.find(id);
    if (lives_.empty()) {
        lives_.resize(voters_.size());
        const std::uint64_t all = (std::uint64_t{1} << voters_.size()) - 1;
        text_ = fmt::format("# rdma-paxos trace\nmembership 0 0 0 {} 0 0\n", all);
        if (storage != storages_.end())
            text_ += "disks 0 0 0 0 0 0\n";
    }
    Life& life = life_at(id, founding, replica);
    present_[id] = life.number;
    replica.observe(&life);
    if (storage == storages_.end())
        return;
    storage->second->belongs_to(life);
    const Recovered& found = storage->second->recovered();
    life.state = state.value();
    if (!found.fresh)
        life.restarted =
            Step{"restart",    life.number, life.number, 0, found.base.index.value(), found.base.term.value(),
                 found.suspect};
}

// The model's replicas 0.. are the founding voters in order of their ids, whenever they are started. Who comes back
// with its memory, from its disk, goes on as the one that it was.
TraceRecorder::Life& TraceRecorder::life_at(ReplicaId id, bool founding, Replica& replica) {
    for (const auto& life : lives_)
        if (life && life->id == id && life->incarnation == replica.incarnation()) {
            life->replica = &replica;
            life->held_back.clear();
            return *life;
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
    return *lives_[number];
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
        transition.peer == nobody || transition.peer == life.id || transition.kind == TransitionKind::recover
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
        life.votes[transition.term] = life.number;
        return step("stand");
    case TransitionKind::vote:
        life.votes[transition.term] = peer;
        return step("vote");
    case TransitionKind::recover:
        return tell_recovery(life, transition);
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
        return step("install");
    }
}

// What it finds on the way, it knows once it has found all of it.
void TraceRecorder::tell_recovery(Life& life, const Transition& transition) {
    const Term term = transition.term;
    int vote = life.number;
    if (transition.peer == life.id)
        life.votes.try_emplace(term, life.number); // it has none left: what it voted then is lost
    else if (const auto found = life.votes.find(term); found != life.votes.end())
        vote = found->second;
    const Step restarted = *std::exchange(life.restarted, std::nullopt);
    tell(restarted);
    tell({"kept", life.number, life.number, 0, life.state, 0, 0});
    tell({"recover", life.number, vote, term.value(), transition.index.value(), transition.entry_term.value(),
          transition.peer != nobody});
    for (const Step& step : std::exchange(life.held_back, {}))
        tell(step);
}

// A leader that commits has counted on somebody: on those who acknowledged so much by now, be they dead since.
void TraceRecorder::tell_acknowledgements(const Life& leader, const Transition& commit) {
    if (leader.replica->role() != Role::leader || !storages_.empty()) // what disks hold has been told
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

void TraceRecorder::tell(const Step& step) {
    Life& life = *lives_[std::size_t(step.self)];
    if (life.restarted)
        life.held_back.push_back(step);
    else
        write_down(step);
}

void TraceRecorder::write_down(const Step& step) {
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
