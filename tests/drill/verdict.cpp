// SPDX-License-Identifier: Apache-2.0
#include "verdict.h"

#include <charconv>
#include <fmt/format.h>
#include <set>

namespace drill {

namespace {

constexpr std::size_t examples_max = 20;

struct Counter {
    std::int64_t acknowledged = 0;
    std::int64_t unknown = 0;
    std::set<std::int64_t> told; // what acknowledged increments were told
};

class Judge {
  public:
    explicit Judge(const Contents& contents) : contents_(contents) {}

    void look_at(const Write& write) {
        if (write.kind == Kind::set)
            look_at_set(write);
        else
            count(write);
    }

    Verdict conclude() {
        for (const auto& [key, counter] : counters_)
            look_at_counter(key, counter);
        return std::move(verdict_);
    }

  private:
    void look_at_set(const Write& write) {
        const auto found = contents_.find(write.key);
        if (found == contents_.end()) {
            if (write.outcome == Outcome::acknowledged)
                add(verdict_.lost, fmt::format("lost: {} was acknowledged and is not there", write.key));
        } else if (found->second != write.value || write.outcome == Outcome::refused) {
            add(verdict_.wrong,
                fmt::format("wrong: {} is '{}', written was '{}'", write.key, found->second, write.value));
        }
    }

    void count(const Write& write) {
        Counter& counter = counters_[write.key];
        if (write.outcome == Outcome::unknown)
            counter.unknown++;
        if (write.outcome != Outcome::acknowledged)
            return;
        counter.acknowledged++;
        // Each increment ever done has one number of its own: told twice, an acknowledged one was undone in
        // between.
        if (!counter.told.insert(write.counted).second)
            add(verdict_.wrong, fmt::format("wrong: {} was told to be {} twice", write.key, write.counted));
    }

    void look_at_counter(const std::string& key, const Counter& counter) {
        std::int64_t value = 0;
        if (const auto found = contents_.find(key); found != contents_.end()) {
            const auto& text = found->second;
            if (std::from_chars(text.data(), text.data() + text.size(), value).ptr != text.data() + text.size()) {
                add(verdict_.wrong, fmt::format("wrong: counter {} is '{}'", key, text));
                return;
            }
        }
        const std::int64_t most = counter.acknowledged + counter.unknown;
        if (value < counter.acknowledged) {
            verdict_.lost += counter.acknowledged - value - 1;
            add(verdict_.lost, fmt::format("lost: counter {} is {} after {} acknowledged increments", key, value,
                                           counter.acknowledged));
        } else if (value > most) {
            verdict_.duplicated += value - most - 1;
            add(verdict_.duplicated,
                fmt::format("duplicated: counter {} is {}, though only {} increments were asked for", key, value,
                            most));
        }
        // Fewer than acknowledged is counted as lost already.
        if (value >= counter.acknowledged && !counter.told.empty() && *counter.told.rbegin() > value)
            add(verdict_.wrong,
                fmt::format("wrong: counter {} is {}, but was told to be {}", key, value, *counter.told.rbegin()));
    }

    void add(std::int64_t& what, std::string example) {
        what++;
        if (verdict_.examples.size() < examples_max)
            verdict_.examples.push_back(std::move(example));
    }

    const Contents& contents_;
    std::map<std::string, Counter> counters_;
    Verdict verdict_;
};

} // namespace

std::vector<std::string> keys_of(std::span<const Ledger> ledgers) {
    std::set<std::string> keys;
    for (const auto& ledger : ledgers)
        for (const auto& write : ledger.writes)
            keys.insert(write.key);
    return {keys.begin(), keys.end()};
}

Verdict judge(std::span<const Ledger> ledgers, const Contents& contents) {
    Judge judge(contents);
    for (const auto& ledger : ledgers)
        for (const auto& write : ledger.writes)
            judge.look_at(write);
    return judge.conclude();
}

} // namespace drill
