// SPDX-License-Identifier: Apache-2.0
//
// rdma-paxos-check-history: reads what rdma-paxos-client recorded and says whether it is linearizable. Exit status:
// 0 if so, 3 if not, 1 if the file cannot be read or proves too little.
#include "checking/history.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fstream>

namespace {

using namespace rdma_paxos;
using namespace rdma_paxos::checking;

struct Summary {
    std::size_t reads = 0, lease_reads = 0, writes = 0, swaps = 0, refused_swaps = 0, unknown = 0;
    Nanoseconds longest_gap{}; ///< between two answers

    explicit Summary(const std::vector<Record>& records) {
        std::vector<Nanoseconds> answers;
        for (const auto& [key, lease, op] : records) {
            if (op.returned == never) {
                ++unknown;
                continue;
            }
            answers.push_back(op.returned);
            switch (op.kind) {
            case OperationKind::read:
                ++(lease ? lease_reads : reads);
                break;
            case OperationKind::write:
                ++writes;
                break;
            case OperationKind::compare_and_set:
                ++(op.result == op.expected ? swaps : refused_swaps);
                break;
            }
        }
        std::sort(answers.begin(), answers.end());
        for (std::size_t i = 1; i < answers.size(); ++i)
            longest_gap = std::max(longest_gap, answers[i] - answers[i - 1]);
    }
    std::size_t answered() const { return reads + lease_reads + writes + swaps + refused_swaps; }
};

} // namespace

int main(int argc, char** argv) try {
    std::string path;
    std::size_t answered_min = 1;
    CLI::App app{"Says whether a history is linearizable."};
    app.add_option("FILE", path, "as rdma-paxos-client wrote it")->required();
    app.add_option("--answered-min", answered_min, "with fewer answers it proves too little");
    CLI11_PARSE(app, argc, argv);
    std::ifstream file(path);
    const auto records = read_history(file);
    if (!records) {
        fmt::print(stderr, "rdma-paxos-check-history: {}: {}\n", path, records.error().what);
        return 1;
    }
    const Summary sum(*records);
    fmt::print(
        "{} answered: {} reads, {} under the lease, {} writes, {} swaps, {} refused; {} without answer; longest "
        "gap {:.3f} s\n",
        sum.answered(), sum.reads, sum.lease_reads, sum.writes, sum.swaps, sum.refused_swaps, sum.unknown,
        std::chrono::duration<double>(sum.longest_gap).count());
    if (const auto complaint = check_history(*records)) {
        fmt::print("{}\n", *complaint);
        return 3;
    }
    if (sum.answered() < answered_min) {
        fmt::print(stderr, "rdma-paxos-check-history: proves too little: {} answers, not {}\n", sum.answered(),
                   answered_min);
        return 1;
    }
    fmt::print("linearizable\n");
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "rdma-paxos-check-history: %s\n", error.what());
    return 1;
}
