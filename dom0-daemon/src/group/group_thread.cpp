// SPDX-License-Identifier: Apache-2.0
#include "group/group_thread.h"

#include <algorithm>
#include <ctime>
#include <future>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "base/log.h"

namespace tripod::group {

GroupThread::GroupThread(std::string vm) : vm_(std::move(vm)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Result<std::unique_ptr<GroupThread>> GroupThread::open(std::string vm, const std::string& listen_address,
                                                       const rdma_paxos::ClusterKey& key) {
    std::unique_ptr<GroupThread> thread(new GroupThread(std::move(vm)));
    if (!thread->wake_fd_)
        return fail(ErrorCode::other, "cannot make an eventfd");
    auto hub = rdma_paxos::TcpRendezvousHub::listen({listen_address, 0}, key);
    if (!hub)
        return fail(ErrorCode::other, hub.error().what);
    thread->hub_ = std::move(*hub);
    return thread;
}

GroupThread::~GroupThread() {
    stop();
}

uint16_t GroupThread::port() const {
    return hub_->port();
}

void GroupThread::on_rejection(std::function<void(const std::string&)> tell) {
    hub_->on_rejection([this, tell = std::move(tell)](const rdma_paxos::RejectionReport& report) {
        if (notes_.worth_telling(report, monotonic_now()))
            tell(report.text);
        else
            log::debug("{}: {}", vm_, report.text);
    });
}

Result<void> GroupThread::start(const rdma_paxos::Config& config, const std::vector<Member>& members,
                                FabricFactory& factory, replicate::Pump& pump, Watch watch) {
    auto links = factory.make(config, members, *hub_);
    if (!links)
        return tl::unexpected(links.error());
    fabric_ = std::move(links->fabric);
    rendezvous_ = std::make_unique<PacedRendezvous>(std::move(links->rendezvous));
    auto replica = rdma_paxos::Replica::create(config, *fabric_, *rendezvous_, pump);
    if (!replica)
        return fail(ErrorCode::other, replica.error().what);
    replica_ = std::move(*replica);
    waiter_ = std::make_unique<rdma_paxos::Waiter>(*fabric_, rdma_paxos::WaitOptions{});
    for (const auto member : config.members)
        if (member != config.self)
            peers_.push_back(member);
    pump_ = &pump;
    watch_ = std::move(watch);
    running_ = true;
    thread_ = std::thread([this] { loop(); });
    const std::string name = ("vm:" + vm_).substr(0, 15); // the kernel's limit
    pthread_setname_np(thread_.native_handle(), name.c_str());
    // A late heartbeat deposes the leader, and the guest's outputs wait for this thread: it goes before dom0's
    // ordinary work. It sleeps nearly always, so it starves nobody. Where that is not permitted, so be it.
    const sched_param priority{.sched_priority = 1};
    if (int error = pthread_setschedparam(thread_.native_handle(), SCHED_RR, &priority); error != 0)
        log::debug("{}: no real-time priority: error {}", vm_, error);
    return {};
}

void GroupThread::wake() {
    // A counter that is full wakes as well: failure is harmless.
    [[maybe_unused]] const int ignored = eventfd_write(wake_fd_.get(), 1);
}

void GroupThread::run(const std::function<void(rdma_paxos::Replica*)>& work) {
    std::promise<void> done;
    {
        const std::lock_guard lock(mutex_);
        if (running_) {
            commands_.push_back([&] {
                work(replica_.get());
                done.set_value();
            });
            commanded_ = true;
        } else {
            work(nullptr);
            return;
        }
    }
    wake();
    done.get_future().wait();
}

void GroupThread::run_commands() {
    if (!commanded_)
        return;
    std::deque<std::function<void()>> commands;
    {
        const std::lock_guard lock(mutex_);
        commands.swap(commands_);
        commanded_ = false;
    }
    for (const auto& command : commands)
        command();
}

void GroupThread::stop() {
    if (thread_.joinable()) {
        stopping_ = true;
        wake();
        thread_.join();
    }
    // The order of dependence: replica on links, rendezvous on fabric and hub.
    replica_.reset();
    waiter_.reset();
    if (fabric_)
        cut_links();
    rendezvous_.reset();
    fabric_.reset();
}

// A memory that outlives its program would go on acknowledging writes, and so vote for what nobody reads.
void GroupThread::cut_links() {
    constexpr int attempts_max = 1000; // "not yet" is short; the memory itself goes in a moment anyway
    for (const auto peer : peers_)
        for (const auto link : {rdma_paxos::Link::log, rdma_paxos::Link::board})
            for (int attempt = 0; !fabric_->reset(peer, link) && attempt < attempts_max; ++attempt)
                sched_yield();
}

// A leader with nothing on its way but the last acknowledgements of what is committed: those can wait for the next
// heartbeat, and are not worth to be woken for.
bool GroupThread::quiet() const {
    constexpr uint64_t few = 8; // entries: all of them have been sent
    if (replica_->role() != rdma_paxos::Role::leader || replica_->commit_index() != replica_->last_index())
        return false;
    return std::all_of(peers_.begin(), peers_.end(), [&](const auto id) {
        const auto peer = replica_->peer(id);
        return !peer.log_up || peer.acked.value() + few >= replica_->last_index().value();
    });
}

void GroupThread::loop() {
    const auto log = replicate::make_log(*replica_);
    const std::vector<int> fabric_fds = fabric_->event_fds(); // they stay the same
    std::vector<pollfd> fds;
    bool kicked = true, completed = true, unarmed = false;
    while (!stopping_) {
        run_commands();
        auto now = monotonic_now();
        const auto round = [&] {
            replica_->tick(now);
            pump_->step(*log, now);
            replica_->flush(now);
        };
        round();
        // After what the kick was about is on its way. One that came meanwhile was kept, and wakes us again.
        if (kicked && channel_ != nullptr)
            channel_->acknowledge();
        if (watch_)
            watch_(*replica_, now);
        // A commit on its way may be there in less time than sleeping takes. Idle, or on dom0's only processor,
        // this costs nothing.
        const auto committed = replica_->commit_index();
        const bool expecting = replica_->role() == rdma_paxos::Role::leader && committed < replica_->last_index();
        if (expecting)
            waiter_->spin(replica_->next_deadline(), [&](std::chrono::nanoseconds time) {
                now = time;
                round();
                return replica_->commit_index() != committed || stopping_;
            });
        unarmed |= completed;
        if (unarmed && !quiet()) {
            // The wake-up that was asked for has been used up. See Fabric::arm() for why one more look.
            fabric_->arm();
            unarmed = false;
            now = monotonic_now();
            round();
        }

        fds.clear();
        fds.push_back({wake_fd_.get(), POLLIN, 0});
        fds.push_back({gate_ != nullptr && frames_wanted_() ? gate_->fd() : -1, POLLIN, 0});
        fds.push_back({channel_ != nullptr ? channel_->fd() : -1, POLLIN, 0});
        constexpr size_t gate_at = 1, channel_at = 2, fabric_begin = 3;
        for (const int fd : fabric_fds)
            fds.push_back({unarmed ? -1 : fd, POLLIN, 0}); // a wake-up that was used up stays readable until arm()
        const size_t hub_begin = fds.size();
        for (int fd : hub_->fds())
            fds.push_back({fd, POLLIN, 0});
        const auto deadline = std::min(replica_->next_deadline(), pump_->next_deadline(now));
        const auto wait = std::clamp<std::chrono::nanoseconds>(deadline - now, std::chrono::nanoseconds(0),
                                                               std::chrono::seconds(1));
        const timespec timeout{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
        ppoll(fds.data(), fds.size(), &timeout, nullptr);

        const auto any = [&](size_t begin, size_t end) {
            return std::any_of(fds.begin() + static_cast<ptrdiff_t>(begin),
                               fds.begin() + static_cast<ptrdiff_t>(end),
                               [](const pollfd& fd) { return fd.revents != 0; });
        };
        if (any(0, gate_at)) {
            eventfd_t count = 0;
            [[maybe_unused]] const int ignored = eventfd_read(wake_fd_.get(), &count);
        }
        if (any(gate_at, channel_at))
            frames_arrived_();
        kicked = any(channel_at, fabric_begin);
        completed = any(fabric_begin, hub_begin);
        if (any(hub_begin, fds.size()))
            rendezvous_->notice();
    }
    {
        const std::lock_guard lock(mutex_);
        running_ = false;
    }
    run_commands();
}

} // namespace tripod::group
