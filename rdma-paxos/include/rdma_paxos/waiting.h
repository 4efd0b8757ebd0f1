// SPDX-License-Identifier: Apache-2.0
//
// How to wait for a completion: look again and again (microseconds, a whole processor), or sleep until the fabric
// wakes us (tens of microseconds more, nothing while idle). WaitPolicy decides from how long recent waits took, and
// from whether somebody else wants the processor; it is pure. Waiter does what the policy says.
//
// Only waits for something that is on its way are worth spinning for. Whoever merely waits for the next deadline,
// as an idle backup does, says so and sleeps at once.
#pragma once

#include "rdma_paxos/clock.h"
#include "rdma_paxos/fabric.h"

#include <poll.h>

namespace rdma_paxos {

using namespace std::chrono_literals;

enum class WaitMode : std::uint8_t {
    adaptive = 0,
    spin = 1, ///< until the deadline, whatever it costs
    sleep = 2,
};

struct WaitOptions {
    WaitMode mode = WaitMode::adaptive;
    Nanoseconds spin_max = 100us;  ///< the longest budget of a wait; also how long Xen or a peer may go unnoticed
    Nanoseconds sleep_cost = 20us; ///< what falling asleep and being woken takes, beyond what was waited for
};

class WaitPolicy {
  public:
    explicit WaitPolicy(const WaitOptions& options) : options_(options) {}

    /// How long the wait that begins `now` may spin. `processors`: those this thread may run on. `spinners`: how
    /// many threads want to spin on them, this one included.
    Nanoseconds budget(Nanoseconds now, unsigned processors, unsigned spinners);

    /// How a wait with a budget ended: `found` after so long, or not within the budget.
    void ended(Nanoseconds spun, bool found);

    /// The thread lost its processor while it spun: somebody else has use for it. No spinning for a while, longer
    /// each time this comes again soon.
    void preempted(Nanoseconds now);

    /// One wait in so many spins in spite of the history, to learn whether that still holds.
    static constexpr std::uint32_t waits_per_trial = 32;
    static constexpr Nanoseconds penalty_min = 10ms;
    static constexpr Nanoseconds penalty_max = 1s;

  private:
    static constexpr std::size_t bucket_count = 12; ///< below 256 ns, 512 ns, ... 262 us, and "not found"
    static constexpr std::uint32_t history_max = 128;
    static Nanoseconds edge(std::size_t bucket) { return 256ns * (1 << bucket); }
    Nanoseconds cheapest() const;

    WaitOptions options_;
    std::array<std::uint32_t, bucket_count> history_{}; ///< of waits that spun, fading
    std::uint32_t recorded_ = 0;
    std::uint32_t waits_ = 0;
    Nanoseconds blocked_until_ = Nanoseconds::min();
    Nanoseconds penalty_{};
};

/// For one thread and one fabric, which outlives it. The fabric's event_fds() must stay the same.
class Waiter {
  public:
    Waiter(Fabric& fabric, const WaitOptions& options);

    struct Outcome {
        bool found = false;  ///< look() said so
        bool fabric = false; ///< a completion may have arrived
        bool extra = false;  ///< one of `extra` has something: see its revents
    };

    /// Waits until `deadline` (CLOCK_MONOTONIC) at most. `look` (bool(Nanoseconds now)) does what a completion
    /// calls for and tells whether something has changed; called until then, and once more before sleeping.
    /// `expecting`: a completion is on its way. While it spins, `extra` is not looked at.
    template <class Look>
    Outcome wait(std::span<pollfd> extra, Nanoseconds deadline, bool expecting, Look&& look) {
        if (expecting && spin(deadline, look))
            return {.found = true};
        fabric_.arm();
        if (look(monotonic_now()))
            return {.found = true};
        return sleep(extra, deadline);
    }

    /// The first half of wait() alone: true if found.
    template <class Look>
    bool spin(Nanoseconds deadline, Look&& look) {
        const Nanoseconds begun = monotonic_now();
        const Nanoseconds budget = begin(begun);
        if (budget <= Nanoseconds(0))
            return false;
        const Nanoseconds limit = budget < deadline - begun ? begun + budget : deadline;
        for (Nanoseconds before = begun;;) {
            const bool found = look(before);
            const Nanoseconds after = monotonic_now();
            if (after - before >= suspicious_gap)
                check_preemption(after);
            if (found || after >= limit) {
                end(after - begun, found, after - begun >= budget);
                return found;
            }
            before = after;
        }
    }

    /// The second half: the fabric must have been armed, and looked at after that. Unless the mode is `sleep`, it
    /// only offers the processor to others if the deadline is nearer than sleep_cost / 4.
    Outcome sleep(std::span<pollfd> extra, Nanoseconds deadline);

    struct Counts {
        std::uint64_t found_spinning = 0;
        std::uint64_t given_up = 0; ///< the budget was used up
        std::uint64_t slept = 0;
        std::uint64_t preempted = 0;
    };
    const Counts& counts() const { return counts_; }

  private:
    /// Between two looks. Longer than a look takes, shorter than anybody else's turn on the processor.
    static constexpr Nanoseconds suspicious_gap = 50us;
    Nanoseconds begin(Nanoseconds begun);
    void end(Nanoseconds spun, bool found, bool used_up);
    void check_preemption(Nanoseconds now);

    Fabric& fabric_;
    WaitPolicy policy_;
    Nanoseconds too_short_; ///< a wait of which nothing would be left when we had fallen asleep
    unsigned processors_;
    std::uint64_t involuntary_switches_ = 0;
    std::vector<pollfd> fds_; ///< the fabric's first, then those of the caller
    std::size_t fabric_fds_;
    Counts counts_;
};

} // namespace rdma_paxos
