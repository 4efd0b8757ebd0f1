// SPDX-License-Identifier: Apache-2.0
//
// This host's member of one VM's group: the thread that runs the replica and its pump, and sleeps in between.
//
// The thread is named "vm:NAME". It owns the replica, the links and the pump's time; nothing else touches them
// while it runs, except through run(). It wakes for Xen's event channel, completions, rendezvous sockets, deadlines
// and run(), and never waits for anything else.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <rdma_paxos/clock.h>
#include <rdma_paxos/replica.h>
#include <rdma_paxos/waiting.h>

#include "base/error.h"
#include "base/unique_fd.h"
#include "gate/gate.h"
#include "group/fabric_factory.h"
#include "group/paced_rendezvous.h"
#include "group/rejection_notes.h"
#include "replicate/pump.h"
#include "xen/event_channel.h"

namespace tripod::group {

class GroupThread {
  public:
    // What the owner does after each round, on the thread: look, and hand long work to other threads.
    using Watch = std::function<void(rdma_paxos::Replica& replica, std::chrono::nanoseconds now)>;

    // Opens the rendezvous on a free port of `listen_address`, for holders of `key`; no thread yet.
    static Result<std::unique_ptr<GroupThread>> open(std::string vm, const std::string& listen_address,
                                                     const rdma_paxos::ClusterKey& key);
    // stop()s.
    ~GroupThread();
    GroupThread(const GroupThread&) = delete;
    GroupThread& operator=(const GroupThread&) = delete;

    // Of the rendezvous, for the other members.
    uint16_t port() const;

    // Told of connections that were turned away, as far as RejectionNotes finds them worth it. On the thread.
    // Before start().
    void on_rejection(std::function<void(const std::string& text)> tell);
    // Of the rendezvous. On the thread (through run).
    rdma_paxos::TcpRendezvousStats rendezvous_stats() const { return hub_->stats(); }

    // Makes the links and the replica, and starts the thread. Once. `pump` and `factory` outlive stop().
    Result<void> start(const rdma_paxos::Config& config, const std::vector<Member>& members, FabricFactory& factory,
                       replicate::Pump& pump, Watch watch);

    // Runs `work` on the thread and waits for it; the replica is null when the thread does not run (then `work`
    // runs here). Never from the thread itself.
    void run(const std::function<void(rdma_paxos::Replica* replica)>& work);

    // Wakes the thread whenever the channel does. On the thread (through run), or before start().
    void watch_channel(xen::EventChannel* channel) { channel_ = channel; }
    // Calls `arrived` before the next step whenever the gate has frames, and `wanted` says that they are. The same.
    void watch_gate(gate::Gate* gate, std::function<bool()> wanted, std::function<void()> arrived) {
        gate_ = gate;
        frames_wanted_ = std::move(wanted);
        frames_arrived_ = std::move(arrived);
    }

    // Leaves the group: ends and joins the thread, destroys the replica. Idempotent. The pump may be used by the
    // caller afterwards. Never from the thread itself.
    void stop();
    bool running() const { return running_; }

  private:
    explicit GroupThread(std::string vm);
    void loop();
    void cut_links();
    bool quiet() const;
    void run_commands();
    void wake();

    std::string vm_;
    RejectionNotes notes_;
    std::unique_ptr<rdma_paxos::TcpRendezvousHub> hub_;
    std::unique_ptr<rdma_paxos::Fabric> fabric_;
    std::unique_ptr<PacedRendezvous> rendezvous_;
    std::vector<rdma_paxos::ReplicaId> peers_;
    std::unique_ptr<rdma_paxos::Replica> replica_;
    std::unique_ptr<rdma_paxos::Waiter> waiter_;
    replicate::Pump* pump_ = nullptr;
    xen::EventChannel* channel_ = nullptr;
    gate::Gate* gate_ = nullptr;
    std::function<bool()> frames_wanted_;
    std::function<void()> frames_arrived_;
    Watch watch_;
    UniqueFd wake_fd_;
    std::thread thread_;
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> running_ = false;
    std::mutex mutex_;
    std::deque<std::function<void()>> commands_;
    std::atomic<bool> commanded_ = false; // there may be some
};

using rdma_paxos::monotonic_now;

} // namespace tripod::group
