// SPDX-License-Identifier: Apache-2.0
//
// The search of Wing and Gong ("Testing and verifying concurrent objects") with Lowe's memory of what has been
// tried ("Testing for linearizability"). Three things keep it short:
//   - a read that finds the present value takes its place at once: it changes nothing for the others;
//   - a value that will not be written again is not left before everybody who found it had his turn;
//   - a write whose value nobody finds goes first when the present value is not needed any more.
#include "checking/linearizability.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>
#include <vector>

namespace rdma_paxos::checking {

const char* to_string(OperationKind kind) {
    switch (kind) {
    case OperationKind::read:
        return "read";
    case OperationKind::write:
        return "write";
    case OperationKind::compare_and_set:
        return "compare-and-set";
    }
    return "?";
}

namespace {

using ValueId = std::uint32_t;
constexpr std::uint32_t none = ~0u;

/// An operation as the search sees it: what it needs to find, and what it leaves.
struct Step {
    ValueId finds = none;  ///< none: it takes effect whatever is there
    ValueId puts = none;   ///< none: it changes nothing
    bool optional = false; ///< it may never have taken effect
    Nanoseconds invoked{};
    Nanoseconds returned{};
    Nanoseconds deadline{}; ///< when it, or somebody who found what it put, had returned: whom to try first
};

bool took_effect(const Operation& op) {
    return op.kind == OperationKind::write ||
           (op.kind == OperationKind::compare_and_set && op.result == op.expected);
}

class Prepared {
  public:
    Prepared(std::span<const Operation> history, Value initial) {
        intern(history, initial);
        steps.reserve(history.size());
        std::vector<std::size_t> unknown;
        for (std::size_t i = 0; i < history.size(); ++i) {
            const Operation& op = history[i];
            if (op.returned == never) {
                if (op.kind != OperationKind::read)
                    unknown.push_back(i);
                continue;
            }
            Step step;
            step.invoked = op.invoked;
            step.returned = op.returned;
            if (op.kind != OperationKind::write)
                step.finds = id_of(op.result);
            if (took_effect(op))
                step.puts = id_of(op.argument);
            steps.push_back(step);
        }
        count_writers(history, initial);
        resolve(history, std::move(unknown));
        for (Step& step : steps) {
            step.deadline = step.returned;
            if (step.puts != none)
                step.deadline = std::min(step.deadline, found_by[step.puts]);
        }
    }

    std::vector<Step> steps;
    std::size_t value_count() const { return values.size(); }
    ValueId initial_id = 0;

  private:
    ValueId id_of(Value value) const {
        return static_cast<ValueId>(std::lower_bound(values.begin(), values.end(), value) - values.begin());
    }

    void intern(std::span<const Operation> history, Value initial) {
        values.reserve(history.size() * 2 + 1);
        values.push_back(initial);
        for (const Operation& op : history) {
            if (op.kind != OperationKind::write)
                values.push_back(op.returned == never ? op.expected : op.result);
            if (op.kind != OperationKind::read)
                values.push_back(op.argument);
        }
        std::sort(values.begin(), values.end());
        values.erase(std::unique(values.begin(), values.end()), values.end());
        initial_id = id_of(initial);
    }

    void count_writers(std::span<const Operation> history, Value initial) {
        writers.assign(values.size(), 0);
        found_by.assign(values.size(), never);
        ++writers[id_of(initial)];
        for (const Operation& op : history)
            if (op.kind != OperationKind::read && (op.returned == never || took_effect(op)))
                ++writers[id_of(op.argument)];
        for (const Step& step : steps)
            if (step.finds != none)
                found_by[step.finds] = std::min(found_by[step.finds], step.returned);
    }

    /// An operation of unknown outcome whose value nobody found may as well not have happened. If somebody did find
    /// it, and nobody else wrote it, it did happen, before that somebody returned. Only what remains is a guess.
    void resolve(std::span<const Operation> history, std::vector<std::size_t> unknown) {
        std::vector<bool> found(values.size());
        for (const Step& step : steps)
            if (step.finds != none)
                found[step.finds] = true;
        std::vector<std::size_t> kept;
        for (bool changed = true; changed;) {
            changed = false;
            std::erase_if(unknown, [&](std::size_t i) {
                if (!found[id_of(history[i].argument)])
                    return false;
                if (history[i].kind == OperationKind::compare_and_set)
                    found[id_of(history[i].expected)] = true;
                kept.push_back(i);
                changed = true;
                return true;
            });
        }
        const std::size_t first = steps.size();
        for (const std::size_t i : kept) {
            const Operation& op = history[i];
            Step step;
            step.invoked = op.invoked;
            step.returned = never;
            if (op.kind == OperationKind::compare_and_set)
                step.finds = id_of(op.expected);
            step.puts = id_of(op.argument);
            step.optional = writers[step.puts] > 1;
            steps.push_back(step);
        }
        for (bool changed = true; changed;) {
            changed = false;
            for (std::size_t i = first; i < steps.size(); ++i) {
                Step& step = steps[i];
                // A value that was found before its only writer had been called: no order explains that, and the
                // search shall see it as such.
                const Nanoseconds latest = std::max(found_by[step.puts], step.invoked);
                if (step.optional || latest >= step.returned)
                    continue;
                step.returned = latest;
                changed = true;
                if (step.finds != none)
                    found_by[step.finds] = std::min(found_by[step.finds], step.returned);
            }
        }
        // Found only by such as are guesses themselves.
        for (std::size_t i = first; i < steps.size(); ++i)
            steps[i].optional = steps[i].returned == never;
    }

    std::vector<Value> values;
    std::vector<std::uint32_t> writers;
    std::vector<Nanoseconds> found_by; ///< the earliest return of a step that found this value
};

class Search {
  public:
    explicit Search(const Prepared& prepared)
        : steps(prepared.steps), present(prepared.initial_id), finders(prepared.value_count()),
          certain_finders(prepared.value_count()), writers(prepared.value_count()), done(steps.size()) {
        for (const Step& step : steps) {
            if (step.finds != none) {
                ++finders[step.finds];
                certain_finders[step.finds] += step.optional ? 0 : 1;
            }
            if (step.puts != none)
                ++writers[step.puts];
        }
        lay_out();
    }

    bool too_wide() const { return wide; }

    bool run() {
        std::vector<Choice> choices;
        for (;;) {
            if (!advance())
                return true;
            if (!remember() || !choose(choices)) {
                // A dead end: back to the last choice that has something left to try.
                while (!choices.empty() && choices.back().next == choices.back().end) {
                    candidates.resize(choices.back().begin);
                    choices.pop_back();
                }
                if (choices.empty())
                    return false;
                undo(choices.back().trail);
            }
            take(candidates[choices.back().next++]);
        }
    }

  private:
    /// The calls and returns that have not been passed yet, a list in order of time. Node 2i is the call of step i,
    /// node 2i+1 its return; the last node is the anchor.
    std::uint32_t anchor() const { return static_cast<std::uint32_t>(2 * steps.size()); }
    static bool is_return(std::uint32_t node) { return node & 1; }

    void lay_out() {
        struct Event {
            Nanoseconds at;
            std::uint32_t node;
        };
        std::vector<Event> events;
        events.reserve(2 * steps.size());
        for (std::uint32_t i = 0; i < steps.size(); ++i) {
            events.push_back({steps[i].invoked, 2 * i});
            if (!steps[i].optional)
                events.push_back({steps[i].returned, 2 * i + 1});
        }
        // At the same instant calls come first: such operations count as concurrent.
        std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
            return a.at != b.at ? a.at < b.at
                                : std::pair(is_return(a.node), a.node) < std::pair(is_return(b.node), b.node);
        });
        next.assign(2 * steps.size() + 1, none);
        previous.assign(2 * steps.size() + 1, none);
        open_begin.assign(steps.size(), 0);
        open_count.assign(steps.size(), 0);
        std::uint32_t last = anchor();
        std::vector<std::uint32_t> open;
        for (const Event& event : events) {
            next[last] = event.node;
            previous[event.node] = last;
            last = event.node;
            const std::uint32_t step = event.node / 2;
            if (is_return(event.node)) {
                std::erase(open, step);
                open_begin[step] = static_cast<std::uint32_t>(open_at.size());
                open_at.insert(open_at.end(), open.begin(), open.end());
                open_count[step] = static_cast<std::uint32_t>(open.size());
                wide = wide || open.size() > 64;
            } else
                open.push_back(step);
        }
        next[last] = anchor();
        previous[anchor()] = last;
    }

    void unlink(std::uint32_t node) {
        next[previous[node]] = next[node];
        previous[next[node]] = previous[node];
    }
    void relink(std::uint32_t node) {
        next[previous[node]] = node;
        previous[next[node]] = node;
    }

    void take(std::uint32_t i) {
        const Step& step = steps[i];
        trail.push_back({i, present});
        done[i] = 1;
        if (!step.optional)
            unlink(2 * i + 1);
        unlink(2 * i);
        if (step.finds != none) {
            --finders[step.finds];
            certain_finders[step.finds] -= step.optional ? 0 : 1;
        }
        if (step.puts != none) {
            --writers[step.puts];
            present = step.puts;
        }
    }

    void undo(std::size_t length) {
        while (trail.size() > length) {
            const auto [i, before] = trail.back();
            trail.pop_back();
            const Step& step = steps[i];
            relink(2 * i); // just the reverse of take()
            if (!step.optional)
                relink(2 * i + 1);
            done[i] = 0;
            if (step.finds != none) {
                ++finders[step.finds];
                certain_finders[step.finds] += step.optional ? 0 : 1;
            }
            if (step.puts != none)
                ++writers[step.puts];
            present = before;
        }
    }

    /// Takes all that can be taken without a choice. False: everything has been explained.
    bool advance() {
        for (;;) {
            std::uint32_t node = next[anchor()];
            std::uint32_t free_write = none;
            for (; node != anchor() && !is_return(node); node = next[node]) {
                const Step& step = steps[node / 2];
                if (step.puts == none) {
                    if (step.finds == present)
                        take(node / 2);
                } else if (step.finds == none && !step.optional && finders[step.puts] == 0)
                    free_write = node / 2;
            }
            frontier = node / 2;
            if (node == anchor())
                return false;
            if (free_write == none || finders[present] != 0)
                return true;
            take(free_write);
        }
    }

    /// False if this has been tried. What is done, is: everything that returned before the frontier, and some of
    /// what was open then.
    bool remember() {
        std::uint64_t mask = 0;
        for (std::uint32_t k = 0; k < open_count[frontier]; ++k)
            mask |= static_cast<std::uint64_t>(done[open_at[open_begin[frontier] + k]]) << k;
        return seen.insert({mask, frontier, present}).second;
    }

    struct Choice {
        std::size_t begin, next, end; ///< in `candidates`
        std::size_t trail;
    };

    bool choose(std::vector<Choice>& choices) {
        const bool last_chance = writers[present] == 0;
        const std::size_t begin = candidates.size();
        for (std::uint32_t node = next[anchor()]; !is_return(node); node = next[node]) {
            const Step& step = steps[node / 2];
            if (step.puts == none || (step.finds != none && step.finds != present))
                continue;
            const bool finds_it = step.finds == present && !step.optional;
            if (last_chance && step.puts != present && certain_finders[present] > (finds_it ? 1u : 0u))
                continue;
            candidates.push_back(node / 2);
        }
        if (candidates.size() == begin)
            return false;
        std::sort(candidates.begin() + static_cast<std::ptrdiff_t>(begin), candidates.end(),
                  [&](std::uint32_t a, std::uint32_t b) { return steps[a].deadline < steps[b].deadline; });
        choices.push_back({begin, begin, candidates.size(), trail.size()});
        return true;
    }

    struct Key {
        std::uint64_t mask;
        std::uint32_t frontier;
        ValueId present;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const {
            std::uint64_t x = key.mask ^ (std::uint64_t{key.frontier} << 32 | key.present) * 0x9e3779b97f4a7c15u;
            x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
            return x ^ x >> 29;
        }
    };
    struct Taken {
        std::uint32_t step;
        ValueId before;
    };

    const std::vector<Step>& steps;
    ValueId present;
    std::uint32_t frontier = 0;                                   ///< the step that must be explained next
    std::vector<std::uint32_t> finders, certain_finders, writers; ///< by value, among those not taken
    std::vector<std::uint8_t> done;
    std::vector<std::uint32_t> next, previous;
    std::vector<std::uint32_t> open_at, open_begin, open_count;
    std::vector<Taken> trail;
    std::vector<std::uint32_t> candidates;
    std::unordered_set<Key, Hash> seen;
    bool wide = false;
};

enum class Verdict : std::uint8_t { fits, does_not_fit, too_wide };

Verdict judge(std::span<const Operation> history, Value initial) {
    const Prepared prepared(history, initial);
    Search search(prepared);
    if (search.too_wide())
        return Verdict::too_wide;
    return search.run() ? Verdict::fits : Verdict::does_not_fit;
}

bool broken(std::span<const Operation> history, Value initial) {
    return judge(history, initial) == Verdict::does_not_fit;
}

/// What was known at that moment.
std::vector<Operation> until(std::span<const Operation> history, Nanoseconds end) {
    std::vector<Operation> prefix;
    for (Operation op : history) {
        if (op.invoked > end)
            continue;
        if (op.returned > end)
            op.returned = never;
        prefix.push_back(op);
    }
    return prefix;
}

/// Without the operations [begin, end) except those whose value somebody finds who stays: the history of a register
/// that behaves well still fits after that.
std::vector<Operation> without(const std::vector<Operation>& history, std::size_t begin, std::size_t end) {
    std::vector<char> stays(history.size(), 1);
    std::fill(stays.begin() + static_cast<std::ptrdiff_t>(begin), stays.begin() + static_cast<std::ptrdiff_t>(end),
              0);
    for (bool changed = true; changed;) {
        changed = false;
        std::unordered_set<Value> found;
        for (std::size_t i = 0; i < history.size(); ++i)
            if (stays[i] && history[i].kind != OperationKind::write)
                found.insert(history[i].returned == never ? history[i].expected : history[i].result);
        for (std::size_t i = begin; i < end; ++i)
            if (!stays[i] && history[i].kind != OperationKind::read && found.contains(history[i].argument))
                stays[i] = 1, changed = true;
    }
    std::vector<Operation> rest;
    for (std::size_t i = 0; i < history.size(); ++i)
        if (stays[i])
            rest.push_back(history[i]);
    return rest;
}

/// A part of a history that does not fit, as small as leaving out what is not needed makes it.
std::vector<Operation> smallest(std::span<const Operation> history, Value initial) {
    std::vector<Nanoseconds> ends;
    for (const Operation& op : history)
        if (op.returned != never)
            ends.push_back(op.returned);
    std::sort(ends.begin(), ends.end());
    std::size_t low = 0, high = ends.empty() ? 0 : ends.size() - 1; // the shortest beginning that does not fit
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (broken(until(history, ends[middle]), initial))
            high = middle;
        else
            low = middle + 1;
    }
    std::vector<Operation> part =
        ends.empty() ? std::vector<Operation>(history.begin(), history.end()) : until(history, ends[low]);
    if (!broken(part, initial)) // cannot be: a beginning of a history that fits, fits
        part.assign(history.begin(), history.end());
    std::sort(part.begin(), part.end(),
              [](const Operation& a, const Operation& b) { return a.invoked < b.invoked; });
    for (std::size_t chunk = std::max<std::size_t>(part.size() / 2, 1);;) {
        bool smaller = false;
        for (std::size_t begin = 0; begin < part.size();) {
            std::vector<Operation> rest = without(part, begin, std::min(begin + chunk, part.size()));
            if (rest.size() < part.size() && broken(rest, initial)) {
                part = std::move(rest);
                smaller = true;
            } else
                begin += chunk;
        }
        if (chunk == 1 && !smaller)
            return part;
        chunk = std::max<std::size_t>(chunk / 2, 1);
    }
}

std::string describe(const Operation& op, Nanoseconds origin) {
    const auto microseconds = [&](Nanoseconds at) { return double((at - origin).count()) / 1000.0; };
    std::string what = to_string(op.kind);
    if (op.kind == OperationKind::write)
        what += fmt::format(" {}", op.argument);
    if (op.kind == OperationKind::compare_and_set)
        what += fmt::format(" {} to {}", op.expected, op.argument);
    if (op.returned == never)
        return fmt::format("  client {:<3} {:>12.1f} us ..   no answer     {}", op.client, microseconds(op.invoked),
                           what);
    if (op.kind != OperationKind::write)
        what += fmt::format(": found {}", op.result);
    return fmt::format("  client {:<3} {:>12.1f} us .. {:>12.1f} us  {}", op.client, microseconds(op.invoked),
                       microseconds(op.returned), what);
}

} // namespace

std::optional<std::string> check_register(std::span<const Operation> history, Value initial) {
    for (const Operation& op : history)
        if (op.returned < op.invoked)
            return fmt::format("not a history: an answer before its call\n{}", describe(op, Nanoseconds(0)));
    switch (judge(history, initial)) {
    case Verdict::fits:
        return std::nullopt;
    case Verdict::too_wide:
        return "not checked: more than 64 operations at once";
    case Verdict::does_not_fit:
        break;
    }
    const std::vector<Operation> part = smallest(history, initial);
    Nanoseconds origin = Nanoseconds::max();
    for (const Operation& op : history)
        origin = std::min(origin, op.invoked);
    std::string text = fmt::format("not linearizable: no order explains these {} of {} operations, the register "
                                   "beginning with {}:",
                                   part.size(), history.size(), initial);
    for (const Operation& op : part)
        text += "\n" + describe(op, origin);
    return text;
}

} // namespace rdma_paxos::checking
