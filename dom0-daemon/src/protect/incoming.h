// SPDX-License-Identifier: Apache-2.0
//
// A backup host's side of protection: one connection from a primary's daemon, from hello to confirm.
//
// The session runs on the connection's own thread. When the connection ends before "confirm", whatever was made is
// destroyed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "peer/connection.h"
#include "peer/messages.h"
#include "peer/state_codec.h"
#include "vm/backup_vm.h"

namespace tripod::protect {

// The registry's part, for any thread.
struct IncomingRegistry {
    // Enters the replica; its error goes to the primary (the name is taken).
    std::function<Result<void>(const std::shared_ptr<vm::BackupVm>&)> admit;
    std::function<void(const std::shared_ptr<vm::BackupVm>&)> dismiss;
    // A backup's notice that its copy strayed.
    std::function<void(const peer::Diverged&)> diverged;
    // A backup's wish to become the primary: returns when the group has decided so. Blocks for seconds.
    std::function<Result<void>(const peer::HandOver&)> hand_over;
    // Whether that VM runs here since a failover.
    std::function<bool(const peer::Whereabouts&)> runs_here;
    vm::BackupVm::TellPrimary tell_primary;
};

class IncomingSession {
  public:
    IncomingSession(vm::Context& context, const IncomingRegistry& registry, peer::Connection& connection);
    ~IncomingSession();
    IncomingSession(const IncomingSession&) = delete;
    IncomingSession& operator=(const IncomingSession&) = delete;

    // Until the connection ends.
    void run();

  private:
    class Restore;

    Result<void> greet();
    // The body of the answer; errors are sent to the primary, and end the session when they leave nothing to go on.
    Result<std::string> handle_request(const wire::Frame& frame);
    Result<std::string> prepare(const wire::Frame& frame);
    Result<std::string> start(const wire::Frame& frame);
    Result<std::string> confirm();
    Result<void> begin_state(const wire::Frame& frame);
    Result<void> take_chunk(const wire::Frame& frame);
    Result<std::string> end_state(const wire::Frame& frame);
    Result<void> reply(uint64_t tag, const Result<std::string>& answer);

    vm::Context& context_;
    const IncomingRegistry& registry_;
    peer::Connection& connection_;
    std::shared_ptr<vm::BackupVm> vm_;
    std::unique_ptr<peer::StateDecoder> decoder_;
    std::unique_ptr<Restore> restore_;
};

} // namespace tripod::protect
