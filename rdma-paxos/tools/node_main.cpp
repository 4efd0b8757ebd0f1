// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-node: one member of a replicated set of registers (../tools/node.h), for trying things out by hand and
// in the lab. It prints what happens to it. Exit status: 0 when told to stop, 1 if it cannot start, 3 if its
// storage failed.
#include "../tools/node.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <fmt/format.h>

namespace {
volatile std::sig_atomic_t stop_requested = 0;
}

int main(int argc, char** argv) try {
    using namespace rdma_paxos;
    tools::NodeOptions options;
    CLI::App app{"One member of a replicated set of registers."};
    app.add_option("--fabric", options.fabric, "verbs or shm")->check(CLI::IsMember({"verbs", "shm"}));
    app.add_option("--id", options.id, "this node")->required()->check(CLI::Range(1, int(max_replica_id)));
    app.add_option("--peers", options.peers, "all that it may meet, itself included: ID=ADDRESS:PORT, ...")
        ->delimiter(',')
        ->required();
    app.add_option("--members", options.members, "ids of the founding members; default: all of --peers")
        ->delimiter(',');
    app.add_option("--witnesses", options.witnesses, "those of the members that only store")->delimiter(',');
    app.add_option("--listen", options.listen, "address to listen at; the port is that of --peers");
    app.add_option("--device", options.device, "RDMA device");
    app.add_option("--key", options.key, "file with the cluster key, the same 32 random bytes for all (verbs)");
    app.add_option("--group", options.group, "name of the group, up to 16 characters");
    app.add_option("--initial-leader", options.initial_leader, "the member that leads first");
    app.add_option("--prefer", options.preferred_leader, "the member that shall lead when it can");
    app.add_option("--ring-kib", options.ring_kib, "size of the log in memory")->take_last();
    app.add_option("--data", options.data, "folder that makes it durable; default: in memory only");
    app.add_option("--save-every", options.save_seconds, "seconds between two states on disk (with --data)");
    app.add_flag("--lab-timing", options.lab_timing, "time-outs for emulated hosts");
    app.add_flag("--rejoin", options.rejoin, "the group exists; this node knows nothing of it (yet, or any more)");
    app.add_flag("--bug-early-answer", options.bug_early_answer, "a planted mistake: answers before the commit");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGINT, [](int) { stop_requested = 1; });
    std::signal(SIGTERM, [](int) { stop_requested = 1; });
    std::signal(SIGPIPE, SIG_IGN);

    auto node = tools::Node::create(options);
    if (!node) {
        fmt::print(stderr, "rdma-paxos-node: {}\n", node.error().what);
        return 1;
    }
    return (*node)->run(stop_requested);
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-node: %s\n", error.what());
    return 1;
}
