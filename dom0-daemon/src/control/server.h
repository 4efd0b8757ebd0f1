// SPDX-License-Identifier: Apache-2.0
//
// The daemon's local socket: takes the command's requests to a Service and streams progress, answer or trace back.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"
#include "control/service.h"
#include "wire/frame_stream.h"

namespace tripod::control {

struct ServerOptions {
    std::size_t clients_max = 64;                     // more are told ErrorCode::not_now
    std::chrono::milliseconds request_timeout{10000}; // from connecting to the whole request
    std::chrono::milliseconds send_timeout{30000};    // a client that does not read for so long is dropped
};

// Has no event loop of its own: the owner polls listen_fd() for POLLIN and calls accept_clients(). Each client then
// has one thread ("tripod-client"), owned by this object and joined in stop(). accept_clients(), stop() and the
// destructor belong to one thread. One request per connection; bytes that are no request close that connection
// alone.
class ControlServer {
  public:
    // Makes `path` (mode 0600) and its folder (0700 if it was not there). A socket file that nobody listens on is
    // replaced; ErrorCode::not_now when another daemon does. `service` must outlive this.
    static Result<std::unique_ptr<ControlServer>> open(const std::string& path, Service& service,
                                                       ServerOptions options = {});
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    int listen_fd() const { return listener_.get(); }
    // Takes every client that waits; never blocks. Also joins threads that are done.
    void accept_clients();
    // Takes no more clients, makes running requests see cancelled(), waits for their threads, removes the socket
    // file.
    void stop();
    // Connections that are being served.
    std::size_t clients() const;

  private:
    struct Client;

    ControlServer(std::string path, UniqueFd listener, Service& service, ServerOptions options);
    void serve(Client& client);
    void reap();

    const std::string path_;
    UniqueFd listener_;
    Service& service_;
    const ServerOptions options_;
    std::atomic<bool> stopping_{false};
    std::list<std::unique_ptr<Client>> clients_;
};

} // namespace tripod::control
