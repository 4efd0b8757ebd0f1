// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "control/server.h"

namespace tripod::testing {

// A control server with the event loop's part of it, in a thread.
class ServerLoop {
  public:
    ServerLoop(const std::string& path, Service& service, control::ServerOptions options = {}) {
        auto opened = control::ControlServer::open(path, service, options);
        if (!opened) {
            ADD_FAILURE() << opened.error().message;
            return;
        }
        server_ = std::move(*opened);
        thread_ = std::thread([this] {
            while (!quit_) {
                pollfd p{server_->listen_fd(), POLLIN, 0};
                if (poll(&p, 1, 2) > 0)
                    server_->accept_clients();
            }
            server_->stop();
        });
    }
    ~ServerLoop() {
        quit_ = true;
        if (thread_.joinable())
            thread_.join();
    }

  private:
    std::unique_ptr<control::ControlServer> server_;
    std::atomic<bool> quit_{false};
    std::thread thread_;
};

} // namespace tripod::testing
