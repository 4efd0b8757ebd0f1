// SPDX-License-Identifier: Apache-2.0
#include "peer/server.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <system_error>

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/log.h"

namespace tripod::peer {

Server::Server(UniqueFd fd, uint16_t port, Session session)
    : fd_(std::move(fd)), port_(port), session_(std::move(session)), thread_([this] { accept_all(); }) {
    pthread_setname_np(thread_.native_handle(), "peers");
}

Result<std::unique_ptr<Server>> Server::listen(const std::string& address, uint16_t port, Session session) {
    const auto failed = [&](const std::string& why) {
        return fail(ErrorCode::bad_config,
                    "cannot listen on " + address + " port " + std::to_string(port) + ": " + why,
                    "see \"listen\" in tripod.conf");
    };
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (int rc = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); rc != 0)
        return failed(gai_strerror(rc));
    UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool bound = fd && bind(fd.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd.get(), 16) == 0;
    const int error = errno;
    freeaddrinfo(found);
    if (!bound)
        return failed(std::strerror(error));
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &length);
    const uint16_t real_port = ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&own)->sin6_port
                                                               : reinterpret_cast<sockaddr_in*>(&own)->sin_port);
    return std::unique_ptr<Server>(new Server(std::move(fd), real_port, std::move(session)));
}

Server::~Server() {
    stopping_ = true;
    shutdown(fd_.get(), SHUT_RDWR); // wakes accept()
    thread_.join();
    {
        const std::lock_guard lock(mutex_);
        for (auto& client : clients_)
            client.connection->shut_down();
    }
    for (auto& client : clients_)
        client.thread.join();
}

void Server::reap() {
    for (auto at = clients_.begin(); at != clients_.end();) {
        if (at->done) {
            at->thread.join();
            at = clients_.erase(at);
        } else {
            ++at;
        }
    }
}

void Server::accept_all() {
    while (!stopping_) {
        UniqueFd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) {
            if (stopping_)
                return;
            if (errno != EINTR && errno != ECONNABORTED) {
                log::warning("cannot accept a connection: {}", std::strerror(errno));
                std::this_thread::sleep_for(Milliseconds(100)); // out of descriptors: that passes, or not
            }
            continue;
        }
        const std::lock_guard lock(mutex_);
        reap();
        if (clients_.size() >= sessions_max)
            continue;
        Client& client = clients_.emplace_back();
        client.connection = std::make_unique<Connection>(std::move(fd), std::string());
        client.connection->rename(client.connection->remote_address());
        try {
            client.thread = std::thread([this, &client] {
                serve(*client.connection);
                client.done = true;
            });
        } catch (const std::system_error& error) {
            log::warning("{}: no thread for this connection: {}", client.connection->name(), error.what());
            clients_.pop_back();
            continue;
        }
        pthread_setname_np(client.thread.native_handle(), "peer");
    }
}

// What a session throws ends that session, not the daemon.
void Server::serve(Connection& connection) {
    try {
        session_(connection);
    } catch (const std::exception& error) {
        log::error("{}: {}", connection.name(), error.what());
    }
    connection.shut_down();
}

} // namespace tripod::peer
