// SPDX-License-Identifier: Apache-2.0
//
// A replica with its fabric and rendezvous, made from command line options. For the programs of this folder.
#pragma once

#include "rdma_paxos/clock.h"
#include "rdma_paxos/replica.h"
#include "rdma_paxos/shm_fabric.h"
#include "rdma_paxos/tcp_rendezvous.h"
#include "rdma_paxos/verbs_fabric.h"
#include "rdma_paxos/waiting.h"

#include <CLI/CLI.hpp>
#include <map>
#include <string>

namespace rdma_paxos::bench {

struct MemberOptions {
    std::string fabric = "verbs"; ///< or "shm"
    unsigned id = 0;
    std::vector<std::string> peers; ///< "ID=ADDRESS:PORT", all members, self included; for shm only "ID"
    std::string device = "rxe0";
    std::string key;                        ///< file with the cluster key; needed by verbs
    std::string group = "rdma-paxos-bench"; ///< 16 characters
    unsigned initial_leader = 0;
    std::size_t ring_mib = 32;
    bool lab_timing = false;
    bool patient = false;      ///< long election time-outs: members share processors, and may not run for long
    bool looks_seldom = false; ///< at boards: beside a commit over emulated hosts, as 50 us are beside one of 2 us
    bool rejoin = false;       ///< the member ran before and has lost its memory
    WaitMode wait = WaitMode::adaptive;
};

void add_member_options(CLI::App& app, MemberOptions& options);

/// Any fabric with the rendezvous that belongs to it.
using Links = ShmEndpoint;

class Member {
  public:
    static tl::expected<std::unique_ptr<Member>, Error> create(const MemberOptions& options, Listener& listener);

    Replica& replica() { return *replica_; }
    Fabric& fabric() { return *fabric_; }
    Rendezvous& rendezvous() { return *rendezvous_; }
    const std::vector<ReplicaId>& others() const { return others_; }

    /// A fabric and a rendezvous of the same kind and members, for a group of another name.
    tl::expected<Links, Error> more_links(const MemoryLayout& layout, const std::string& name);

    /// Waits for the deadline, a completion or a message of the rendezvous, whichever is first, and ticks the
    /// replica meanwhile. May spin if a commit is on its way.
    void wait_until(Nanoseconds deadline);
    const Waiter& waiter() const { return *waiter_; }

  private:
    tl::expected<Links, Error> make_links(const GroupId& group, const MemoryLayout& layout);

    ReplicaId self_;
    std::map<ReplicaId, TcpAddress> peers_;
    std::string fabric_kind_;
    GroupId group_{};
    std::shared_ptr<VerbsDevice> device_;
    std::unique_ptr<TcpRendezvousHub> hub_;
    std::unique_ptr<Fabric> fabric_;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<Waiter> waiter_;
    std::vector<pollfd> hub_fds_;
    std::vector<ReplicaId> others_;
};

} // namespace rdma_paxos::bench
