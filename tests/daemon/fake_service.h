// SPDX-License-Identifier: Apache-2.0
//
// A Service whose answers a test sets, and which notes what it was asked.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "control/service.h"

namespace tripod::testing {

inline VmStatus sample_status() {
    VmStatus s;
    s.name = "web1";
    s.domid = DomId{3};
    s.role = Role::primary;
    s.state = VmState::degraded;
    s.reason = "h3 is dead";
    s.primary = "h1";
    s.backups = {{"h2", ReplicaState::ok, Index{120}, Index{118}, 12, std::nullopt},
                 {"h3", ReplicaState::dead, Index{90}, std::nullopt, std::nullopt, "lagging beyond the log"}};
    s.last = Index{121};
    s.committed = Index{120};
    s.applied = Index{120};
    s.term = Term{2};
    s.counters = {1000, 10, 2000, 20, 30, 1};
    s.events = {{"protect_started", 1700000000000000001, ""}, {"backup_lost", 1700000000000000002, "h3"}};
    return s;
}

class FakeService : public Service {
  public:
    Result<VmStatus> protect(const ProtectRequest& request, Progress& progress) override {
        {
            const std::lock_guard lock(mutex);
            protects.push_back(request);
        }
        if (on_protect)
            return on_protect(request, progress);
        return sample_status();
    }
    Result<void> unprotect(const std::string& vm, Progress&) override {
        if (vm != "web1")
            return fail(ErrorCode::not_protected, "VM " + vm + " is not protected");
        return {};
    }
    Result<std::vector<VmStatus>> list() override { return vms; }
    Result<VmStatus> status(const std::string& vm) override {
        if (vm != "web1")
            return fail(ErrorCode::no_such_vm, "no VM named " + vm + " on h1",
                        "xl list shows the VMs of this host");
        return sample_status();
    }
    Result<VmStatus> failover(const FailoverRequest& request, Progress&) override {
        const std::lock_guard lock(mutex);
        failovers.push_back(request);
        return sample_status();
    }
    Result<void> trace(const std::string& vm, TraceSink& sink) override {
        sink.begin({vm, DomId{3}, 1000});
        trace_begun = true;
        for (const auto& bytes : trace_batches)
            if (!sink.records(bytes))
                break;
        while (trace_lasts && !sink.cancelled())
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        trace_ended = true;
        return {};
    }
    Result<InfoReply> info() override { return InfoReply{"0.1", 1, 1u, "4.17.5", "h1", "0.0.0.0:7480", "rxe0", 1}; }

    std::mutex mutex;
    std::vector<ProtectRequest> protects;
    std::vector<FailoverRequest> failovers;
    std::function<Result<VmStatus>(const ProtectRequest&, Progress&)> on_protect;
    std::vector<VmStatus> vms{sample_status()};
    std::vector<std::vector<std::byte>> trace_batches;
    bool trace_lasts = false;
    std::atomic<bool> trace_begun{false}, trace_ended{false};
};

} // namespace tripod::testing
