// SPDX-License-Identifier: Apache-2.0
//
// The steps of the protocol as seen from outside one replica: for tracing, and for holding a run of the program
// against the model (rdma-paxos/model). Told in the order in which they happen, before anybody else can know of
// them.
#pragma once

#include "rdma_paxos/membership.h"

namespace rdma_paxos {

enum class TransitionKind : std::uint8_t {
    doubt,     ///< pre-vote asked: `term` is the present one
    stand,     ///< candidate in `term`, after fencing; votes for itself. `index`, `entry_term`: end of its log
    vote,      ///< votes for `peer` in `term`, after fencing. `index`, `entry_term`: end of its log
    adopt,     ///< took `peer`'s log; `index`, `entry_term`: the new end
    lead,      ///< leader of `term`. `index`, `entry_term`: end of its log before its first entry
    follow,    ///< accepts `peer` (or nobody) as leader of `term`
    step_down, ///< leads no more in `term`
    append,    ///< leader: wrote the entry `index` of `entry_term` into its own log
    hold,      ///< follower: its log now ends with `index` of `entry_term` (it grew, or was cut back by a leader)
    commit,    ///< knows that everything up to `index` is committed
    configure, ///< `membership` is in effect here
    install,   ///< starts anew from a snapshot at `index` of `entry_term`
    recover, ///< restarted: found `term`, the vote for `peer` and the log up to `index` of `entry_term` on its disk
};

struct Transition {
    TransitionKind kind = TransitionKind::doubt;
    ReplicaId self;
    Term term;
    ReplicaId peer;
    Index index;
    Term entry_term;
    const Membership* membership = nullptr; ///< of `configure` and `install`; valid during the call
};

class TransitionObserver {
  public:
    virtual ~TransitionObserver() = default;
    virtual void on_transition(const Transition& transition) = 0;
};

} // namespace rdma_paxos
