// SPDX-License-Identifier: Apache-2.0
#include "sim/runner.h"

#include "consensus/invariant.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <new>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace rdma_paxos::sim {

namespace {

constexpr std::size_t most_failures = 64;
constexpr std::size_t most_workers = 64;

struct Slot {
    std::atomic<std::uint64_t> seed; ///< at which its process is; 0: none
    Totals totals;
};

/// What the processes share.
struct Board {
    std::atomic<std::uint64_t> next;
    std::atomic<std::uint64_t> limit; ///< the first seed that nobody need run
    std::atomic<std::size_t> failures;
    struct {
        std::uint64_t seed;
        char what[2048];
    } failure[most_failures];
    Slot slots[most_workers];

    void fail(std::uint64_t seed, const std::string& what, std::size_t enough) {
        const std::size_t number = failures.fetch_add(1);
        if (number < most_failures) {
            failure[number].seed = seed;
            std::strncpy(failure[number].what, what.c_str(), sizeof failure[number].what - 1);
        }
        if (number + 1 < enough)
            return;
        for (std::uint64_t present = limit.load(); seed < present && !limit.compare_exchange_weak(present, seed);) {
        }
    }
};

class SharedBoard {
  public:
    SharedBoard() {
        void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        invariant(memory != MAP_FAILED, "no memory to share with the workers");
        board_ = new (memory) Board();
    }
    ~SharedBoard() { ::munmap(board_, sizeof(Board)); }
    SharedBoard(const SharedBoard&) = delete;
    SharedBoard& operator=(const SharedBoard&) = delete;
    Board* operator->() { return board_; }
    Board& operator*() { return *board_; }

  private:
    Board* board_;
};

std::string cause_of_death(int status) {
    if (WIFSIGNALED(status))
        return fmt::format("the program died of signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return fmt::format("the program ended with status {}", WEXITSTATUS(status));
}

[[noreturn]] void work(Board& board, Slot& slot, const ScenarioOptions& options, std::size_t enough) {
    for (;;) {
        const std::uint64_t seed = board.next.fetch_add(1);
        if (seed >= board.limit.load())
            break;
        slot.seed = seed;
        const Outcome outcome = run_scenario(seed, options);
        slot.totals.add(outcome.totals);
        if (outcome.violation)
            board.fail(seed, *outcome.violation, enough);
        slot.seed = 0;
    }
    std::fflush(nullptr);
    ::_exit(0);
}

pid_t start_worker(Board& board, Slot& slot, const ScenarioOptions& options, std::size_t enough) {
    std::fflush(nullptr); // what is buffered must not be printed twice
    const pid_t pid = ::fork();
    invariant(pid >= 0, "no process for a worker");
    if (pid == 0)
        work(board, slot, options, enough);
    return pid;
}

} // namespace

Report run_seeds(const RunOptions& run, const ScenarioOptions& options) {
    const auto begun = std::chrono::steady_clock::now();
    SharedBoard board;
    board->next = run.start;
    board->limit = run.start + run.seeds;
    const std::size_t wanted = run.workers != 0 ? run.workers : std::max(1u, std::thread::hardware_concurrency());
    const std::size_t workers = std::min({wanted, most_workers, static_cast<std::size_t>(run.seeds)});
    const std::size_t enough = std::clamp<std::size_t>(run.failures, 1, most_failures);

    std::vector<pid_t> processes;
    for (std::size_t i = 0; i < workers; ++i)
        processes.push_back(start_worker(*board, board->slots[i], options, enough));
    for (std::size_t i = 0; i < workers;) {
        int status = 0;
        if (::waitpid(processes[i], &status, 0) < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            ++i;
            continue;
        }
        fmt::print(stderr, "seed {}: {}\n", board->slots[i].seed.load(), cause_of_death(status));
        board->fail(board->slots[i].seed, cause_of_death(status), enough);
        processes[i] = start_worker(*board, board->slots[i], options, enough);
    }

    Report report;
    for (std::size_t i = 0; i < workers; ++i)
        report.totals.add(board->slots[i].totals);
    for (std::size_t i = 0; i < std::min(board->failures.load(), most_failures); ++i)
        report.failures.push_back({board->failure[i].seed, board->failure[i].what});
    std::sort(report.failures.begin(), report.failures.end(),
              [](const Failure& left, const Failure& right) { return left.seed < right.seed; });
    report.failures.resize(std::min(report.failures.size(), enough));
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return report;
}

std::optional<std::string> run_apart(std::uint64_t seed, const ScenarioOptions& options) {
    const Report report = run_seeds({.start = seed, .seeds = 1, .workers = 1}, options);
    if (report.failures.empty())
        return std::nullopt;
    return report.failures.front().what;
}

std::string to_string(const Report& report) {
    const Totals& t = report.totals;
    const double n = double(std::max<std::uint64_t>(1, t.runs));
    const double hours = std::chrono::duration<double, std::ratio<3600>>(t.simulated).count();
    const auto seconds = [](Nanoseconds time) { return std::chrono::duration<double>(time).count(); };
    std::string text = fmt::format(
        "{} seeds, {} failed, in {:.1f} s: {:.0f} seeds/s, {:.2f} simulated hours/s\n"
        "mean per seed: {:.1f} s, {:.1f} members, {:.1f} faults, {:.0f} proposals, {:.0f} commits, {:.0f} answers, "
        "{:.1f} leaders, {:.2f} changes of membership, {:.2f} restarts, {:.2f} states shipped, {:.0f} ticks; "
        "{:.0f} % "
        "with disks, {:.0f} % on overloaded hosts\n"
        "progress after healing: demanded of {:.1f} %, there after {:.1f} s, at most {:.1f} s\n",
        t.runs, report.failures.size(), report.seconds, n / report.seconds, hours / report.seconds,
        seconds(t.simulated) / n, double(t.members) / n, double(t.all_faults()) / n, double(t.proposals) / n,
        double(t.committed) / n, double(t.answers) / n, double(t.leaders) / n, double(t.changes) / n,
        double(t.restarts) / n, double(t.installs) / n, double(t.ticks) / n, 100 * double(t.durable) / n,
        100 * double(t.overloaded) / n, 100 * double(t.live) / n,
        seconds(t.recovery) / double(std::max<std::uint64_t>(1, t.live)), seconds(t.longest_recovery));
    for (std::size_t kind = 0; kind < fault_kinds; ++kind)
        text += fmt::format("{}{} {:.2f}", kind == 0 ? "faults: " : ", ", to_string(static_cast<FaultKind>(kind)),
                            double(t.faults[kind]) / n);
    return text + "\n";
}

} // namespace rdma_paxos::sim
