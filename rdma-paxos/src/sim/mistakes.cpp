// SPDX-License-Identifier: Apache-2.0
#include "sim/mistakes.h"

#include "consensus/planted_bugs.h"

namespace rdma_paxos::sim {

namespace {

constexpr PlantedMistake mistakes[] = {
    {"ack-when-sent", "completions do not wait for the bytes to land",
     [](ScenarioOptions& options) { options.ack_when_sent = true; }, 100},
    {"flags-only", "a reset lets packets through for a while",
     [](ScenarioOptions& options) { options.reset_only_revokes = true; }, 500},
    {"skip-fence", "a vote is given without cutting off who may write the log",
     [](ScenarioOptions&) { planted_bugs.skip_fence = true; }, 200},
    {"late-heartbeat", "a vote is given although a heartbeat landed during the fence",
     [](ScenarioOptions&) { planted_bugs.ignore_late_heartbeat = true; }, 6000},
    {"forget-lease", "a replica that was started anew votes before the lease is over that it granted",
     [](ScenarioOptions&) { planted_bugs.forget_lease = true; }, 4000},
    {"ack-before-write", "a replica acknowledges what its disk has not reported as durable",
     [](ScenarioOptions&) { planted_bugs.ack_before_write = true; }, 3000},
    {"drop-rotten", "recovery takes rot for a torn tail, so that nobody misses what was lost",
     [](ScenarioOptions&) { planted_bugs.drop_rotten = true; }, 4000},
    {"no-majority", "one completion commits, whatever the size of the group",
     [](ScenarioOptions&) { planted_bugs.commit_without_majority = true; }, 100},
    {"old-term", "an old term's entry is committed by counting its copies",
     [](ScenarioOptions&) { planted_bugs.commit_old_term = true; }, 4000},
    {"wait-for-all", "a commit waits for every follower, dead ones too",
     [](ScenarioOptions&) { planted_bugs.wait_for_all = true; }, 100},
    {"stale-members", "who lost a membership to rot counts its members by the one before",
     [](ScenarioOptions&) { planted_bugs.stale_members = true; }, 2000},
    {"endless-excuses", "on an overloaded host each late tick puts off the election",
     [](ScenarioOptions&) { planted_bugs.endless_excuses = true; }, 1000},
    {"impatient", "overloaded hosts get as little time for an election at the tenth attempt as at the first",
     [](ScenarioOptions&) { planted_bugs.impatient = true; }, 6000},
    {"half-links", "a replica writes to a peer that has not connected its end yet",
     [](ScenarioOptions&) { planted_bugs.half_links = true; }, 1000},
    {"trust-canary", "an entry counts as whole when its last byte is there; nobody computes its checksum",
     [](ScenarioOptions&) { planted_bugs.trust_canary = true; }, 200},
};

} // namespace

std::span<const PlantedMistake> planted_mistakes() {
    return mistakes;
}

void unplant_all() {
    planted_bugs = {};
}

} // namespace rdma_paxos::sim
