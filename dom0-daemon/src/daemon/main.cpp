// SPDX-License-Identifier: Apache-2.0
//
// tripodd: reads its settings, opens its two doors (the local socket for the command, a TCP port for the daemons of
// other hosts), and sleeps until a signal ends it.
#include <array>
#include <csignal>
#include <cstdio>
#include <random>

#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/log.h"
#include "config/config.h"
#include "control/server.h"
#include "daemon/daemon.h"
#include "gate/exit_rules.h"
#include "gate/nfqueue_gate.h"
#include "net/links.h"
#include "peer/server.h"

namespace {

using namespace tripod;

std::string random_instance() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

Result<std::unique_ptr<xen::Toolstack>> open_toolstack() {
    auto toolstack = xen::open_toolstack();
    if (!toolstack)
        return fail(ErrorCode::host_unfit, toolstack.error().what);
    return std::move(*toolstack);
}

Result<std::unique_ptr<xen::Domctl>> open_domctl() {
    auto domctl = xen::open_domctl();
    if (!domctl)
        return fail(ErrorCode::host_unfit, domctl.error().what);
    return std::move(*domctl);
}

Result<std::unique_ptr<gate::Gate>> open_gate(DomId domain) {
    return gate::open_nfqueue_gate(gate::queue_of(domain));
}

// What this host has. Without a patched Xen or RDMA the daemon runs all the same, and says so when asked.
void look_around(vm::Context& context) {
    if (auto domctl = open_domctl()) {
        if (const auto version = (*domctl)->version())
            context.xen_interface_version = *version;
        else
            log::warning("no protection on this host: {}", version.error().what);
    } else {
        log::warning("no protection on this host: {}", domctl.error().message);
    }
    if (auto device = group::find_rdma_device(context.config.rdma_device)) {
        context.rdma_device = *device;
        context.fabrics = group::make_verbs_factory(*device);
    } else {
        log::warning("no protection on this host: {}", device.error().message);
    }
    if (auto bridge = net::ensure_bridge(context.config.isolated_bridge); !bridge)
        log::warning("{}", bridge.error().message);
}

int serve(const Config& config, const rdma_paxos::ClusterKey& key) {
    // Blocked before any thread exists, so that all signals come through the descriptor. SIGCHLD is libxl's own.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    signal(SIGPIPE, SIG_IGN);
    const UniqueFd signals(signalfd(-1, &ends, SFD_CLOEXEC));
    // RDMA memory is locked.
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);

    Events events;
    vm::Tasks tasks;
    vm::Context context{
        config,    events,          tasks,          key, random_instance(), {}, {}, {}, open_toolstack, open_domctl,
        open_gate, gate::shut_exit, gate::free_exit};
    look_around(context);
    daemon::Daemon daemon(context);
    if (context.xen_interface_version)
        daemon.clean_up_leftovers();
    auto peers = peer::Server::listen(config.listen_address, config.listen_port,
                                      [&](peer::Connection& connection) { daemon.serve_peer(connection); });
    if (!peers) {
        log::error("{}", peers.error().message);
        return static_cast<int>(peers.error().code);
    }
    auto control = control::ControlServer::open(config.socket_path, daemon);
    if (!control) {
        log::error("{}", control.error().message);
        return static_cast<int>(control.error().code);
    }
    log::info("tripodd on {}: peers at {}:{}, command at {}", config.host, config.listen_address, (*peers)->port(),
              config.socket_path);
    std::array<pollfd, 2> fds{{{signals.get(), POLLIN, 0}, {(*control)->listen_fd(), POLLIN, 0}}};
    while (true) {
        // Once a second even when nothing comes: accept_clients() also joins the threads of clients that are done.
        poll(fds.data(), fds.size(), (*control)->clients() != 0 ? 1000 : -1);
        if (fds[0].revents != 0)
            break;
        (*control)->accept_clients();
    }
    log::info("stopping");
    // Clients first, whose requests end; then the VMs, whose groups still need their peers; then the doors.
    (*control)->stop();
    daemon.shut_down();
    tasks.stop();
    peers->reset();
    tasks.wait();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Tripod's daemon for dom0: records, replicates and replays VMs across Xen hosts.", "tripodd");
    std::string path = default_config_path;
    app.add_option("-c,--config", path, "configuration file")->capture_default_str();
    bool check = false;
    app.add_flag("--check", check, "read configuration and cluster key, say whether they are right, and end");
    CLI11_PARSE(app, argc, argv);
    struct stat file {};
    // Every key has a default, so the file in its usual place may be missing; one that was named may not.
    const bool defaults = app.count("--config") == 0 && stat(path.c_str(), &file) != 0;
    const auto config = defaults ? parse_config("", path) : load_config(path);
    if (!config) {
        std::fprintf(stderr, "tripodd: %s\n", config.error().message.c_str());
        return static_cast<int>(config.error().code);
    }
    const auto key = rdma_paxos::ClusterKey::load(config->cluster_key_file);
    if (!key) {
        std::fprintf(stderr, "tripodd: %s\n", key.error().what.c_str());
        return static_cast<int>(ErrorCode::bad_config);
    }
    if (check)
        return 0;
    log::set_level(config->log_level);
    return serve(*config, *key);
}
