// SPDX-License-Identifier: Apache-2.0
//
// A redis-server of a test's own, on loopback, without persistence. Stopped by its pid when the object goes.
#pragma once

#include "redis_connection.h"

#include <arpa/inet.h>
#include <csignal>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace drill {

class RedisServer {
  public:
    RedisServer() : port_(free_port()) { start(); }
    ~RedisServer() { kill(); }
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    void start() {
        const std::string port = std::to_string(port_);
        pid_ = fork();
        if (pid_ == 0) {
            execlp("redis-server", "redis-server", "--port", port.c_str(), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--logfile", "/dev/null", "--dir", "/tmp", nullptr);
            _exit(127);
        }
        for (int i = 0; i < 500; i++) {
            if (auto connection = RedisConnection::open(endpoint()); connection && connection->call({"PING"}))
                return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ADD_FAILURE() << "redis-server did not start on port " << port_;
    }

    void kill() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

    void pause() const { ::kill(pid_, SIGSTOP); }
    void resume() const { ::kill(pid_, SIGCONT); }

    [[nodiscard]] Endpoint endpoint() const {
        Endpoint endpoint;
        endpoint.port = port_;
        endpoint.reply_timeout = std::chrono::milliseconds(300);
        return endpoint;
    }

    Reply call(std::initializer_list<std::string> words) const {
        auto connection = RedisConnection::open(endpoint());
        return connection ? connection->call(words).value_or(Reply{}) : Reply{};
    }

  private:
    static int free_port() {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) ||
            getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size))
            ADD_FAILURE() << "no free port";
        close(fd);
        return ntohs(address.sin_port);
    }

    int port_;
    pid_t pid_ = -1;
};

} // namespace drill
