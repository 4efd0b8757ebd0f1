// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-client: asks nodes (../tools/node.h), or loads them and records what they answered.
//
//   rdma-paxos-client call 10.0.0.1:7000 members 1,2,4
//   rdma-paxos-client load --nodes 1=10.0.0.1:7000,... --history FILE
//
// A load runs until SIGTERM or --seconds, then reads each register once more, through the log. An operation that
// got no answer in time is recorded as such and never repeated; its connection is given up, as a late answer on it
// would be mistaken for that to the next.
#include "../tools/line_client.h"
#include "checking/history.h"

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

namespace {

using namespace rdma_paxos;
using namespace rdma_paxos::tools;
using namespace std::chrono_literals;
using checking::Operation;
using checking::OperationKind;
using checking::Record;

volatile std::sig_atomic_t stop_requested = 0;

struct LoadOptions {
    std::vector<std::string> nodes;
    std::string history;
    std::string progress; ///< file that holds the number of answers so far
    unsigned clients = 6;
    unsigned keys = 3;
    unsigned first_key = 0;
    double seconds = 0;
    unsigned timeout_ms = 1000;
    unsigned pause_ms = 4;
};

/// Shared by all clients; each member is safe to use from all of them.
class Recorder {
  public:
    explicit Recorder(const std::string& path) : file_(path) { file_ << checking::history_title << '\n'; }

    void add(const Record& record) {
        const std::lock_guard lock(mutex_);
        file_ << checking::to_line(record) << '\n';
        if (record.operation.returned != checking::never)
            ++answered;
    }
    bool finish() { return static_cast<bool>(file_.flush()); }
    std::atomic<std::uint64_t> answered{0};
    std::atomic<std::uint64_t> refused{0};

  private:
    std::mutex mutex_;
    std::ofstream file_;
};

/// One connection at a time, to the leader as far as known.
class Client {
  public:
    Client(const LoadOptions& options, const std::map<unsigned, TcpAddress>& nodes, Recorder& recorder,
           unsigned number)
        : options_(options), nodes_(nodes), recorder_(recorder), number_(number), name_(number),
          random_(std::random_device{}()), node_(std::next(nodes.begin(), number % nodes.size())) {
        seen_.resize(options.keys);
    }

    void run(const std::atomic<bool>& stop) {
        while (!stop) {
            (void)attempt(random_operation());
            std::this_thread::sleep_for(std::chrono::microseconds(random_() % (2000 * options_.pause_ms + 1)));
        }
    }

    /// Reads that register through the log until there is an answer. False: not within that time.
    bool read_at_last(std::uint32_t key, Nanoseconds limit) {
        Record record;
        record.key = key;
        for (const Nanoseconds end = monotonic_now() + limit; monotonic_now() < end;
             std::this_thread::sleep_for(20ms))
            if (attempt(record))
                return true;
        return false;
    }

  private:
    Record random_operation() {
        Record record;
        record.key = options_.first_key + static_cast<std::uint32_t>(random_() % options_.keys);
        Operation& op = record.operation;
        switch (random_() % 6) {
        case 0:
            break; // read
        case 1:
        case 2:
            record.lease = true;
            break;
        case 3:
        case 4:
            op.kind = OperationKind::write;
            break;
        default:
            op.kind = OperationKind::compare_and_set;
            op.expected = seen(record.key);
        }
        if (op.kind != OperationKind::read) // a value of its own
            op.argument = (std::uint64_t{number_} + 1) << 40 | ++writes_;
        return record;
    }

    static std::string request_for(const Record& record) {
        const Operation& op = record.operation;
        switch (op.kind) {
        case OperationKind::read:
            return fmt::format("{} {}", record.lease ? "lease-read" : "read", record.key);
        case OperationKind::write:
            return fmt::format("write {} {}", record.key, op.argument);
        case OperationKind::compare_and_set:
            return fmt::format("cas {} {} {}", record.key, op.expected, op.argument);
        }
        return {};
    }

    /// True if it was answered. Goes into the history unless it certainly had no effect.
    bool attempt(Record record) {
        if (!connection_) {
            connection_ = LineClient::connect(node_->second, timeout());
            if (!connection_) {
                next_node();
                std::this_thread::sleep_for(20ms);
                return false;
            }
        }
        Operation& op = record.operation;
        op.client = name_;
        op.invoked = monotonic_now();
        const auto reply = connection_->ask(request_for(record), timeout());
        const Nanoseconds returned = monotonic_now();
        if (reply && reply->rfind("ok ", 0) == 0) {
            op.returned = returned;
            op.result = std::strtoull(reply->c_str() + 3, nullptr, 10);
            seen(record.key) = op.kind == OperationKind::write ||
                                       (op.kind == OperationKind::compare_and_set && op.result == op.expected)
                                   ? op.argument
                                   : op.result;
            recorder_.add(record);
            return true;
        }
        if (reply && reply->rfind("no", 0) == 0) {
            ++recorder_.refused;
            unsigned leader = 0;
            if (std::sscanf(reply->c_str(), "no leader %u", &leader) == 1)
                go_to(leader);
            return false;
        }
        if (op.kind != OperationKind::read) {
            recorder_.add(record);
            name_ += options_.clients + 1; // this client ends here; another one goes on
        }
        next_node();
        return false;
    }

    std::uint64_t& seen(std::uint32_t key) { return seen_[key - options_.first_key]; }
    Nanoseconds timeout() const { return std::chrono::milliseconds(options_.timeout_ms); }

    void go_to(unsigned leader) {
        if (const auto found = nodes_.find(leader); found != nodes_.end() && found != node_) {
            node_ = found;
            connection_.reset();
        } else if (leader == 0 && random_() % 8 == 0)
            next_node();
        std::this_thread::sleep_for(5ms);
    }
    void next_node() {
        connection_.reset();
        if (++node_ == nodes_.end())
            node_ = nodes_.begin();
    }

    const LoadOptions& options_;
    const std::map<unsigned, TcpAddress>& nodes_;
    Recorder& recorder_;
    unsigned number_;
    unsigned name_;
    std::mt19937_64 random_;
    std::map<unsigned, TcpAddress>::const_iterator node_;
    std::unique_ptr<LineClient> connection_;
    std::vector<std::uint64_t> seen_; ///< by key, newest that this client knows
    std::uint64_t writes_ = 0;
};

void tell_progress(const LoadOptions& options, const Recorder& recorder) {
    if (options.progress.empty())
        return;
    std::ofstream(options.progress + ".new") << recorder.answered << '\n';
    std::rename((options.progress + ".new").c_str(), options.progress.c_str());
}

int load(const LoadOptions& options) {
    std::map<unsigned, TcpAddress> nodes;
    for (const std::string& text : options.nodes) {
        const auto equals = text.find('=');
        const auto address = parse_address(equals == std::string::npos ? "" : text.substr(equals + 1));
        if (!address) {
            fmt::print(stderr, "rdma-paxos-client: \"{}\" is not ID=ADDRESS:PORT\n", text);
            return 1;
        }
        nodes[static_cast<unsigned>(std::atoi(text.c_str()))] = *address;
    }
    Recorder recorder(options.history);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads; // each is one client
    for (unsigned number = 0; number < options.clients; ++number)
        threads.emplace_back([&, number] { Client(options, nodes, recorder, number).run(stop); });
    const Nanoseconds begun = monotonic_now();
    while (!stop_requested && (options.seconds == 0 ||
                               std::chrono::duration<double>(monotonic_now() - begun).count() < options.seconds)) {
        std::this_thread::sleep_for(50ms);
        tell_progress(options, recorder);
    }
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    Client last(options, nodes, recorder, options.clients);
    bool read = true;
    for (std::uint32_t key = 0; key < options.keys; ++key)
        read = last.read_at_last(options.first_key + key, 15s) && read;
    tell_progress(options, recorder);
    fmt::print("{} answered, {} refused\n", recorder.answered, recorder.refused);
    if (!read || !recorder.finish()) {
        fmt::print(stderr, "rdma-paxos-client: {}\n",
                   read ? "the history could not be written" : "the last reads got no answer");
        return 1;
    }
    return 0;
}

int call(const std::string& node, const std::vector<std::string>& words) {
    const auto address = parse_address(node);
    const auto connection = address ? LineClient::connect(*address, 5s) : nullptr;
    std::string request;
    for (const std::string& word : words)
        request += (request.empty() ? "" : " ") + word;
    const auto reply = connection ? connection->ask(request, 10s) : std::nullopt;
    if (!reply) {
        fmt::print(stderr, "rdma-paxos-client: no answer from {}\n", node);
        return 1;
    }
    fmt::print("{}\n", *reply);
    return reply->rfind("no", 0) == 0 || reply->rfind("unknown", 0) == 0 ? 3 : 0;
}

} // namespace

int main(int argc, char** argv) try {
    LoadOptions options;
    std::string node;
    std::vector<std::string> words;
    CLI::App app{"Asks rdma-paxos-node, or loads it. Exit status 3: the node said no."};
    app.require_subcommand(1);
    CLI::App* call_command = app.add_subcommand("call", "send one request, print the answer");
    call_command->add_option("NODE", node, "ADDRESS:PORT")->required();
    call_command->add_option("REQUEST", words, "its words")->required();
    CLI::App* load_command = app.add_subcommand("load", "random operations on a few registers");
    load_command->add_option("--nodes", options.nodes, "ID=ADDRESS:PORT, ...")->delimiter(',')->required();
    load_command->add_option("--history", options.history, "file to record into")->required();
    load_command->add_option("--progress", options.progress, "file that shall hold the number of answers so far");
    load_command->add_option("--clients", options.clients, "connections")->check(CLI::Range(1, 60));
    load_command->add_option("--keys", options.keys, "registers")->check(CLI::Range(1, 1000));
    load_command->add_option("--first-key", options.first_key, "they must be 0 when the load begins");
    load_command->add_option("--seconds", options.seconds, "how long; 0: until SIGTERM");
    load_command->add_option("--timeout-ms", options.timeout_ms, "to wait for an answer");
    load_command->add_option("--pause-ms", options.pause_ms, "mean pause of a client between two operations");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGINT, [](int) { stop_requested = 1; });
    std::signal(SIGTERM, [](int) { stop_requested = 1; });
    std::signal(SIGPIPE, SIG_IGN);
    return call_command->parsed() ? call(node, words) : load(options);
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-client: %s\n", error.what());
    return 1;
}
