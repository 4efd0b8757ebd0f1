// SPDX-License-Identifier: Apache-2.0
//
// The conversation with another host's daemon: the primary's with a backup host while a VM is being protected, and
// a backup's with the primary when it wants the VM. Blocking; one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "control/service.h"
#include "peer/connection.h"
#include "peer/messages.h"

namespace tripod::protect {

using Milliseconds = std::chrono::milliseconds;

class BackupLink {
  public:
    // Connects and greets. backup_unreachable, or backup_refused when that host cannot take any VM, or speaks
    // another version. `own`: this host's hello.
    static Result<BackupLink> open(const std::string& host, const std::string& address, uint16_t port,
                                   const peer::Hello& own, Milliseconds timeout);

    const std::string& host() const { return hello_.host; }
    const std::string& instance() const { return hello_.instance; }
    std::string local_address() const { return connection_.local_address(); }
    std::string remote_address() const { return connection_.remote_address(); }

    Result<peer::Prepared> prepare(const peer::Prepare& prepare, Progress& progress);
    Result<void> start(const peer::Start& start, Progress& progress);
    Result<void> send_chunk(std::span<const std::byte> body);
    // Ends the state stream; the answer is awaited with restored().
    Result<void> send_end(const peer::StateEnd& end);
    Result<void> begin_state();
    Result<void> restored(Progress& progress);
    Result<void> confirm(Progress& progress);
    // Members of the group that it does not reach by RDMA, by their hosts' names.
    Result<std::vector<std::string>> unreached(Progress& progress);
    // To the primary's daemon, for once.
    Result<bool> runs_there(const peer::Whereabouts& question, Progress& progress);
    Result<void> hand_over(const peer::HandOver& request, Progress& progress);

  private:
    BackupLink(peer::Connection connection, peer::Hello hello)
        : connection_(std::move(connection)), hello_(std::move(hello)) {}
    Result<wire::Frame> ask(std::string_view body, Milliseconds timeout, Progress& progress);
    Result<wire::Frame> answer(uint64_t tag, Milliseconds timeout, Progress& progress);

    peer::Connection connection_;
    peer::Hello hello_;
    uint64_t next_tag_ = 1;
    uint64_t state_tag_ = 0;
};

} // namespace tripod::protect
