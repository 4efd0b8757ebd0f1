// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "control/json.h"
#include "control/session.h"

namespace tripod::control {

struct ControlServer::Client {
    explicit Client(UniqueFd socket) : stream(std::move(socket), wire::Channel::local_request) {}
    wire::FrameStream stream;
    std::atomic<bool> done{false};
    std::thread thread;
};

namespace {

tl::unexpected<Error> failed(const std::string& what) {
    return fail(ErrorCode::other, fmt::format("{}: {}", what, std::strerror(errno)));
}

// Somebody answers on `address`: then the file is theirs. Otherwise it was left by a daemon that died.
bool in_use(const sockaddr_un& address) {
    const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Result<void> make_folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0)
        return {};
    const std::string folder = path.substr(0, slash);
    if (mkdir(folder.c_str(), 0700) && errno != EEXIST)
        return failed("cannot make " + folder);
    return {};
}

bool is_allowed(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

void refuse(wire::FrameStream& stream, ErrorCode code, const std::string& message) {
    // To a client that has just connected this fits into the socket's buffer: it cannot block.
    (void)stream.send(wire::FrameType::error, 0, dump(to_json(Error{code, message, ""})),
                      std::chrono::milliseconds(0));
}

} // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::string& path, Service& service,
                                                           ServerOptions options) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorCode::bad_config, fmt::format("\"{}\" cannot be the path of a socket", path));
    std::memcpy(address.sun_path, path.data(), path.size());

    if (auto made = make_folder_of(path); !made)
        return tl::unexpected<Error>(made.error());
    UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener)
        return failed("cannot make a socket");
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    if (bind(listener.get(), raw, sizeof address)) {
        struct stat file {};
        if (errno != EADDRINUSE || stat(path.c_str(), &file) || !S_ISSOCK(file.st_mode))
            return failed("cannot make the socket " + path);
        if (in_use(address))
            return fail(ErrorCode::not_now, "another tripodd listens on " + path, "stop it first");
        if (unlink(path.c_str()) || bind(listener.get(), raw, sizeof address))
            return failed("cannot replace the socket " + path);
    }
    // Before listen(): until then nobody can connect.
    if (chmod(path.c_str(), 0600) || listen(listener.get(), 64))
        return failed("cannot listen on " + path);
    return std::unique_ptr<ControlServer>(new ControlServer(path, std::move(listener), service, options));
}

ControlServer::ControlServer(std::string path, UniqueFd listener, Service& service, ServerOptions options)
    : path_(std::move(path)), listener_(std::move(listener)), service_(service), options_(options) {}

ControlServer::~ControlServer() {
    stop();
}

void ControlServer::reap() {
    for (auto it = clients_.begin(); it != clients_.end();) {
        if ((*it)->done) {
            (*it)->thread.join();
            it = clients_.erase(it);
        } else {
            ++it;
        }
    }
}

std::size_t ControlServer::clients() const {
    std::size_t n = 0;
    for (const auto& client : clients_)
        n += !client->done;
    return n;
}

void ControlServer::accept_clients() {
    reap();
    while (!stopping_) {
        UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                log::warning("local socket: accept: {}", std::strerror(errno));
            return;
        }
        auto client = std::make_unique<Client>(std::move(socket));
        if (!is_allowed(client->stream.fd())) {
            refuse(client->stream, ErrorCode::permission, "only root may speak with the daemon");
        } else if (clients_.size() >= options_.clients_max) {
            refuse(client->stream, ErrorCode::not_now,
                   fmt::format("{} commands speak with the daemon already", clients_.size()));
        } else {
            Client& c = *client;
            try {
                c.thread = std::thread([this, &c] { serve(c); });
                clients_.push_back(std::move(client));
            } catch (const std::system_error& error) {
                refuse(c.stream, ErrorCode::not_now,
                       fmt::format("no thread for another command: {}", error.what()));
            }
        }
    }
}

void ControlServer::serve(Client& client) {
    pthread_setname_np(pthread_self(), "tripod-client");
    run_session(client.stream, service_, stopping_, {options_.request_timeout, options_.send_timeout});
    // The descriptor itself is closed when the thread is joined, so that stop() never touches a reused number.
    client.stream.shut_down();
    client.done = true;
}

void ControlServer::stop() {
    if (stopping_.exchange(true))
        return;
    listener_.reset();
    unlink(path_.c_str());
    for (const auto& client : clients_)
        client->stream.shut_down();
    for (const auto& client : clients_)
        client->thread.join();
    clients_.clear();
}

} // namespace tripod::control
