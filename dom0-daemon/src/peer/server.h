// SPDX-License-Identifier: Apache-2.0
//
// Listens for other hosts' daemons and gives each connection a thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"
#include "peer/connection.h"

namespace tripod::peer {

class Server {
  public:
    // More connections than this are closed at once.
    static constexpr size_t sessions_max = 32;
    // Serves one connection until it ends; called on its own thread.
    using Session = std::function<void(Connection&)>;

    static Result<std::unique_ptr<Server>> listen(const std::string& address, uint16_t port, Session session);
    // Closes the listener and every connection, and waits for their threads.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    uint16_t port() const { return port_; }

  private:
    struct Client {
        std::unique_ptr<Connection> connection;
        std::thread thread;
        std::atomic<bool> done = false;
    };

    Server(UniqueFd fd, uint16_t port, Session session);
    void accept_all();
    void serve(Connection& connection);
    void reap();

    UniqueFd fd_;
    uint16_t port_;
    Session session_;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::list<Client> clients_;
    std::thread thread_;
};

} // namespace tripod::peer
