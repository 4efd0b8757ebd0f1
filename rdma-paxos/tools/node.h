// SPDX-License-Identifier: Apache-2.0
//
// One member of a replicated set of registers, served over TCP. One line is one request, one line its answer:
//
//   read KEY                        ok FOUND          through the log
//   lease-read KEY                  ok FOUND          by the leader alone, while its lease holds; else through the
//   log write KEY VALUE                 ok FOUND cas KEY EXPECTED VALUE          ok FOUND          took effect if
//   FOUND is EXPECTED status                          one line of JSON transfer ID                     ok hands
//   leadership to that member members ID[w],ID,...            ok                makes these the members (w: a
//   witness); status tells how far cancel                          ok                takes a change back that has
//   not begun to count introduce ID=ADDRESS:PORT       ok                makes a further node known to this one
//   install POINT STATE             ok                takes a state; so many bytes of each follow
//
// Every other answer begins with "no", and then the request had and will have no effect, or with "unknown": it may
// have. "no leader ID" names whom to ask. Numbers are decimal.
//
// Threading: one thread; run() waits for all there is to wait for.
#pragma once

#include "../tools/line_server.h"
#include "../tools/peer_list.h"
#include "../tools/state_file.h"
#include "../tools/state_sender.h"
#include "../tools/store.h"
#include "rdma_paxos/clock.h"
#include "rdma_paxos/replica.h"
#include "rdma_paxos/verbs_fabric.h"

#include <csignal>
#include <map>
#include <string>
#include <utility>

namespace rdma_paxos::tools {

struct NodeOptions {
    std::string fabric = "verbs"; ///< or "shm"
    unsigned id = 0;
    std::vector<std::string> peers; ///< "ID=ADDRESS:PORT" of all that it may meet, itself included
    std::vector<unsigned> members;  ///< of the founding membership; empty: all of `peers`
    std::vector<unsigned> witnesses;
    std::string listen = "0.0.0.0"; ///< at the port that `peers` says
    std::string device = "rxe0";
    std::string group = "rdma-paxos-node";
    unsigned initial_leader = 0;
    unsigned preferred_leader = 0;
    std::size_t ring_kib = 32768;
    std::string key;         ///< file with the cluster key; needed by verbs
    std::string data;        ///< folder; empty: volatile
    double save_seconds = 2; ///< between two states on disk; the log behind the last one is kept
    bool lab_timing = false;
    bool rejoin = false;           ///< without memory of a group that exists
    bool bug_early_answer = false; ///< a planted mistake, for tests of tests: answers before the commit
};

class Node final : private Listener {
  public:
    static tl::expected<std::unique_ptr<Node>, Error> create(const NodeOptions& options);
    ~Node() override;

    /// Until `stop` or the storage failed. Returns the exit status.
    int run(const volatile std::sig_atomic_t& stop);

  private:
    /// A request whose entry is in the log.
    struct Pending {
        ConnectionId connection = 0;
        Index index; ///< 0: not known yet
        Term term;
    };
    /// What a replica does that was stopped and does not know it.
    struct Awakening {
        Nanoseconds slept{};
        Term term; ///< in which it led when it woke up; 0: it did not lead
        std::uint64_t first_sequence = 0;
        std::uint64_t acknowledged = 0; ///< of that term, proposed after waking up
        bool deposed = false;           ///< it has learnt of it
    };

    explicit Node(const NodeOptions& options);
    tl::expected<void, Error> open();
    tl::expected<void, Error> open_links(const Config& config);

    bool on_commit(Index index, Term term, Bytes body) override;
    void on_role(Role role, Term term) override;
    void on_membership(const Membership& membership) override;
    void on_refused(ReplicaId peer, const Error& why) override;
    void on_failure(const Error& error) override;

    void handle(const LineServer::Request& request);
    void handle_operation(const LineServer::Request& request, OperationKind kind, std::vector<std::string>& words);
    std::string handle_members(const std::string& list);
    std::string handle_introduce(const std::string& text);
    std::string handle_install(const LineServer::Request& request);
    bool lease_holds() const;
    std::string refusal() const;
    std::string status() const;

    void give_up_lost();
    void ship_states(Nanoseconds now);
    void save_state(Nanoseconds now);
    void tick();
    void sleep();
    void say(const char* what, const std::string& text) const;

    NodeOptions options_;
    GroupId group_{};
    ReplicaId self_;
    std::map<ReplicaId, TcpAddress> peers_;
    Nanoseconds born_;

    std::unique_ptr<TcpRendezvousHub> hub_;
    std::shared_ptr<VerbsDevice> device_;
    std::unique_ptr<Fabric> fabric_;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::unique_ptr<Storage> storage_;
    std::unique_ptr<StateFile> state_file_;
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<LineServer> server_;
    std::map<ReplicaId, std::unique_ptr<StateSender>> senders_;
    std::map<ReplicaId, Nanoseconds> next_ship_;

    Store store_;
    std::map<std::uint64_t, Pending> pending_; ///< by sequence
    std::uint64_t sequence_ = 0;
    Awakening awakening_;
    Nanoseconds last_tick_{};
    Term led_; ///< when the last tick began; 0: did not lead
    Nanoseconds next_save_{};
    std::uint64_t acknowledged_ = 0, lease_reads_ = 0, lost_ = 0, installed_ = 0, shipped_ = 0;
    bool failed_ = false;
};

} // namespace rdma_paxos::tools
