// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-node: one member of a group, for trying things out by hand and in the lab. It prints what happens to
// it; while it leads and --rate is not 0, it proposes numbered entries. The digest it prints covers all that it
// applied, so equal indices at two members must show equal digests.
#include "../bench/member.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <fmt/format.h>
#include <poll.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace {

using namespace rdma_paxos;

volatile std::sig_atomic_t stop_requested = 0;

struct Printer final : Listener {
    bool on_commit(Index index, Term, Bytes body) override {
        digest = XXH3_64bits_withSeed(body.data(), body.size(), digest);
        last = index;
        ++count;
        if (index.value() % 1000 == 0)
            print("digest", fmt::format("{:016x} of {} entries", digest, count));
        return true;
    }
    void on_role(Role role, Term term) override {
        print("role", fmt::format("{} term {}", to_string(role), term.value()));
    }
    void print(const char* what, const std::string& text) {
        fmt::print("{:9.3f} {} index {} {}\n", std::chrono::duration<double>(bench::now() - started).count(), what,
                   last.value(), text);
        std::fflush(stdout);
    }
    std::uint64_t digest = 0;
    std::uint64_t count = 0;
    Index last;
    Nanoseconds started = bench::now();
};

} // namespace

int main(int argc, char** argv) try {
    bench::MemberOptions options;
    double seconds = 0;
    std::uint64_t rate = 100;
    std::size_t payload = 64;
    std::size_t depth = 1000000;
    CLI::App app{"One member of a replicated log, for trials."};
    bench::add_member_options(app, options);
    app.add_option("--seconds", seconds, "how long to run; 0: until told to stop");
    app.add_option("--rate", rate, "entries per second that it proposes while it leads");
    app.add_option("--payload", payload, "bytes per entry");
    app.add_option("--depth", depth, "at most so many entries proposed and not committed");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGINT, [](int) { stop_requested = 1; });
    std::signal(SIGTERM, [](int) { stop_requested = 1; });

    Printer printer;
    auto member = bench::Member::create(options, printer);
    if (!member) {
        fmt::print(stderr, "rdma-paxos-node: {}\n", member.error().what);
        return 1;
    }
    Replica& replica = (*member)->replica();
    std::vector<std::byte> body(std::max<std::size_t>(payload, 8));
    const Nanoseconds begun = bench::now();
    Nanoseconds next_proposal = begun, next_status = begun + std::chrono::seconds(1);
    std::uint64_t number = 0;
    Nanoseconds longest_tick{};
    while (!stop_requested &&
           (seconds == 0 || std::chrono::duration<double>(bench::now() - begun).count() < seconds)) {
        const Nanoseconds now = bench::now();
        replica.tick(now);
        longest_tick = std::max(longest_tick, bench::now() - now);
        if (replica.role() == Role::leader && rate > 0) {
            bool any = false;
            while (next_proposal <= now && replica.last_index().value() - replica.commit_index().value() < depth) {
                std::memcpy(body.data(), &++number, sizeof number);
                if (!replica.propose(body))
                    break;
                next_proposal += std::chrono::nanoseconds(1'000'000'000 / rate);
                any = true;
            }
            if (any)
                replica.flush(bench::now());
            next_proposal = std::max(next_proposal, now - std::chrono::milliseconds(100));
        } else
            next_proposal = now;
        if (now >= next_status) {
            next_status = now + std::chrono::seconds(1);
            std::string peers;
            for (const ReplicaId id : (*member)->others()) {
                const PeerStatus peer = replica.peer(id);
                peers += fmt::format(" {}:{}{}{}{}{}", id.value(), peer.alive ? "alive" : "silent",
                                     peer.board_up ? "+board" : "", peer.log_up ? "+log" : "",
                                     peer.lagging ? "+LAGGING" : "", peer.replaced ? "+REPLACED" : "");
            }
            printer.print(
                "state",
                fmt::format(
                    "{} term {} leader {} last {} commit {} lease {:.0f} ms, longest tick {:.1f} ms; peers{}",
                    to_string(replica.role()), replica.term().value(), replica.leader().value(),
                    replica.last_index().value(), replica.commit_index().value(),
                    std::max(-1.0, double((replica.lease_deadline() - now).count()) / 1e6),
                    double(longest_tick.count()) / 1e6, peers));
            longest_tick = {};
        }
        (*member)->wait_until(std::min(replica.next_deadline(),
                                       replica.role() == Role::leader && rate > 0 ? next_proposal : next_status));
    }
    printer.print("end", fmt::format("digest {:016x} of {} entries", printer.digest, printer.count));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-node: %s\n", error.what());
    return 1;
}
