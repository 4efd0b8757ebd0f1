// SPDX-License-Identifier: Apache-2.0
#include "vm/replica_vm.h"

#include <ctime>
#include <random>

namespace tripod::vm {

namespace {

constexpr size_t trace_piece_bytes = 256 * 1024;
constexpr Milliseconds trace_wait{150};
constexpr std::chrono::seconds copying_grace{60};

} // namespace

int64_t realtime_offset_ns(uint64_t xen_now_ns) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec - static_cast<int64_t>(xen_now_ns);
}

ReplicaVm::ReplicaVm(Context& context, std::string name, peer::GroupKey group_key)
    : context_(context), name_(std::move(name)), group_key_(group_key) {}

ReplicaVm::~ReplicaVm() = default;

void ReplicaVm::on_group(const std::function<void(rdma_paxos::Replica*)>& work) {
    group_->run([&](rdma_paxos::Replica* replica) {
        const std::lock_guard lock(group_mutex_);
        work(replica);
    });
}

std::string ReplicaVm::host_of(rdma_paxos::ReplicaId id) const {
    for (const auto& member : members_)
        if (member.id == id.value())
            return member.host;
    return {};
}

Result<void> ReplicaVm::open_group(const std::string& listen_address) {
    auto group = group::GroupThread::open(name_, listen_address, context_.cluster_key);
    if (!group)
        return tl::unexpected(group.error());
    group_ = std::move(*group);
    group_->on_rejection([this](const std::string& text) { event(event::peer_rejected, text); });
    return {};
}

Result<void> ReplicaVm::start_group(const std::vector<group::Member>& members, uint8_t self, uint8_t initial_leader,
                                    const peer::Timing& timing, uint64_t log_bytes,
                                    group::GroupThread::Watch watch) {
    group_->run([&](rdma_paxos::Replica*) {
        members_ = members;
        self_ = self;
    });
    rdma_paxos::Config config;
    config.group = group_key_;
    config.self = rdma_paxos::ReplicaId(self);
    for (const auto& member : members)
        config.members.emplace_back(member.id);
    config.initial_leader = rdma_paxos::ReplicaId(initial_leader);
    config.ring_bytes = log_bytes;
    config.seed = std::random_device{}();
    config.timing = rdma_paxos::lab_timing();
    // Until the copies stand the log waits for them; see limit_patience().
    config.timing.slow_follower_grace = copying_grace;
    patience_ = Milliseconds(timing.slow_backup_ms);
    config.timing.heartbeat = Milliseconds(timing.heartbeat_ms);
    config.timing.election_timeout_min = Milliseconds(timing.election_min_ms);
    config.timing.election_timeout_max = Milliseconds(timing.election_max_ms);
    config.timing.lease = Milliseconds(timing.lease_ms);
    // Nobody waits for a backup to look at its log: a lower rate saves CPU and costs only lag.
    config.timing.follower_poll = std::max<std::chrono::nanoseconds>(config.timing.heartbeat / 2, Milliseconds(1));
    return group_->start(config, members, *context_.fabrics, *pump(), std::move(watch));
}

// A backup that loses its place is lost until the VM is protected anew; one that hangs must not hang the VM.
void ReplicaVm::limit_patience() {
    on_group([&](rdma_paxos::Replica* replica) {
        if (replica != nullptr)
            replica->set_slow_follower_grace(patience_);
    });
}

void ReplicaVm::fill_status(VmStatus& status, rdma_paxos::Replica* replica) {
    status.name = name_;
    status.domid = domid_;
    if (pump() != nullptr) {
        status.counters.log_bytes = pump()->counters().bytes;
        status.counters.log_records = pump()->counters().records;
        status.applied = Index{pump()->applied_index()};
    }
    if (replica != nullptr) {
        status.last = Index{replica->last_index().value()};
        status.committed = Index{replica->commit_index().value()};
        status.term = Term{replica->term().value()};
        status.primary = host_of(replica->leader());
    }
    if (xen_) {
        if (const auto xen = xen_->status()) {
            status.counters.intercepted_calls = xen->calls;
            status.counters.waiting_threads = xen->waiting;
            const auto& d = xen->divergence;
            if (d.reason != 0)
                status.divergence = DivergenceStatus{d.seq, d.expected, d.found, d.reason, d.tid, d.nr};
        }
    }
}

Result<void> ReplicaVm::trace(TraceSink& sink) {
    auto feed = std::make_shared<TraceFeed>();
    TraceStart start{name_, domid_, 0};
    bool possible = false;
    on_group([&](rdma_paxos::Replica*) {
        const auto xen = xen_ ? xen_->status() : Result<xen::Domctl::Status>(fail(ErrorCode::not_now, {}));
        if (!xen || pump() == nullptr || pump()->has_tap())
            return;
        start.realtime_offset_ns = realtime_offset_ns(xen->now_ns);
        pump()->set_tap([feed](std::span<const std::byte> record) { feed->put(record); });
        possible = true;
    });
    if (!possible)
        return fail(ErrorCode::not_now, name_ + " is being traced already, or has gone");
    sink.begin(start);
    while (!finished() && !sink.cancelled()) {
        const auto taken = feed->take(trace_wait, trace_piece_bytes);
        if (!taken.bytes.empty() && !sink.records(taken.bytes))
            break;
        if (taken.dropped != 0)
            sink.dropped(taken.dropped);
        if (taken.closed)
            break;
    }
    on_group([&](rdma_paxos::Replica*) { pump()->set_tap({}); });
    return {};
}

} // namespace tripod::vm
