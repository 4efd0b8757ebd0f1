// SPDX-License-Identifier: Apache-2.0
//
// A member of the measured group with its end of the probes, and what members do while another one measures.
#pragma once

#include "../bench/probe.h"

#include <atomic>
#include <string_view>

namespace rdma_paxos::bench {

/// Members do what the log tells them: the leader appends commands beside the measured entries.
class Watcher final : public Listener {
  public:
    explicit Watcher(unsigned self) : self_(self) {}

    bool on_commit(Index, Term, Bytes body) override;
    void on_role(Role role, Term term) override;

    bool stop = false; ///< the measurement is over
    bool die = false;  ///< leave at once, as if killed

    /// Of the newest candidacy: when the tick began in which it was begun, and in which it was won.
    Nanoseconds candidate_at{};
    Nanoseconds leader_at{};
    Nanoseconds tick_begun{}; ///< set by whoever ticks

  private:
    unsigned self_;
};

struct Station {
    explicit Station(unsigned id) : watcher(id) {}

    static tl::expected<std::unique_ptr<Station>, Error> open(const MemberOptions& options);

    Replica& replica() { return member->replica(); }
    void tick();

    /// As the leader: waits until all members and all probes are connected.
    tl::expected<void, Error> gather();

    /// As the leader: waits until those followers that it reaches hold the whole log.
    void drain();

    /// As the leader: appends a command for one member (0: all), and gives them time to hear of it.
    void command(std::string_view what, unsigned member_id = 0);

    /// As a follower: does nothing of its own until it is told to stop (true) or die, or leads (false).
    bool follow();

    /// Ends follow() of all members of this process: the measurement has failed, or is over.
    static std::atomic<bool> abandoned;

    /// Leaves as if killed: what peers may still reach would otherwise go on acknowledging their writes.
    void vanish();

    Watcher watcher;
    std::unique_ptr<Member> member;
    std::unique_ptr<Fabric> probe_fabric;
    std::unique_ptr<Rendezvous> probe_rendezvous;
    std::unique_ptr<Probe> probe;
};

} // namespace rdma_paxos::bench
