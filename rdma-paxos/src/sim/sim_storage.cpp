// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_storage.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace rdma_paxos::sim {

class SimStorage final : public Storage {
  public:
    SimStorage(SimDisk& disk, Recovered recovered, std::vector<std::byte> log)
        : disk_(disk), recovered_(std::move(recovered)), log_(std::move(log)) {}

    const Recovered& recovered() const override { return recovered_; }

    std::optional<Stretch> read_back() override {
        if (was_read_ || log_.empty())
            return std::nullopt;
        was_read_ = true;
        return Stretch{recovered_.base.position, log_};
    }

    Ticket store_log(std::uint64_t position, Bytes bytes) override {
        SimDisk::Record record{.kind = SimDisk::Kind::log, .position = position};
        record.bytes.assign(bytes.begin(), bytes.end());
        return disk_.take(std::move(record));
    }
    Ticket store_state(const HardState& state) override {
        return disk_.take({.kind = SimDisk::Kind::state, .state = state});
    }
    Ticket store_base(const SnapshotPoint& point) override {
        return disk_.take({.kind = SimDisk::Kind::base, .base = point});
    }
    Ticket store_repaired() override { return disk_.take({.kind = SimDisk::Kind::repaired}); }
    Ticket durable() override { return disk_.durable_; }
    const std::optional<Error>& failure() const override { return disk_.failure_; }

  private:
    SimDisk& disk_;
    Recovered recovered_;
    std::vector<std::byte> log_;
    bool was_read_ = false;
};

SimDisk::SimDisk(SimNetwork& network, ReplicaId owner, const DiskOptions& options, std::function<void()> progress)
    : network_(network), options_(options), progress_(std::move(progress)), handler_(network.add_handler(*this)),
      random_(network.stream(owner)) {}

SimDisk::~SimDisk() {
    network_.remove_handler(handler_);
}

Ticket SimDisk::take(Record record) {
    if (waiting_bytes_ + record.bytes.size() > options_.queue_bytes && !waiting_.empty())
        return 0;
    waiting_bytes_ += record.bytes.size();
    waiting_.push_back(std::move(record));
    ++taken_;
    write_next();
    return taken_;
}

// All that waits goes out in one write (group commit).
void SimDisk::write_next() {
    if (writing_ > 0 || waiting_.empty() || failure_)
        return;
    writing_ = waiting_.size();
    const Nanoseconds time = random_.between(options_.write_min, options_.write_max);
    network_.at(network_.now() + time * static_cast<std::int64_t>(slowness_), handler_, 0, turn_);
}

void SimDisk::on_event(std::uint32_t, std::uint64_t turn) {
    if (turn != turn_)
        return;
    if (fails_) {
        failure_ = Error{"write: no space left on the simulated device"};
        progress_();
        return;
    }
    const bool lost = std::exchange(lose_next_, false);
    for (std::size_t i = 0; i < writing_; ++i) {
        waiting_bytes_ -= waiting_[i].bytes.size();
        waiting_[i].sound = !lost || waiting_[i].kind == Kind::base; // of which there are copies
        records_.push_back(std::move(waiting_[i]));
    }
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(writing_));
    durable_ += writing_;
    writing_ = 0;
    write_next();
    progress_();
}

// Of the write that was under way a part may be on the disk. What was torn is recognised as such: there is a blank
// behind it. (If there is not, it looks like rot, and is treated as such.)
bool SimDisk::crash(bool harsh) {
    ++turn_;
    // A disk that forgets the newest write that it has reported, and nothing older, cannot be told from one that
    // was never asked. No log that counts majorities survives that on one disk and a lost replica; it is not
    // simulated.
    for (auto record = records_.rbegin(); record != records_.rend() && !record->sound; ++record)
        record->sound = true;
    const std::size_t whole = random_.draw(writing_ + 1);
    for (std::size_t i = 0; i < whole; ++i)
        records_.push_back(std::move(waiting_[i]));
    const bool suspicious = harsh && whole < writing_;
    if (suspicious) {
        records_.push_back(std::move(waiting_[whole]));
        records_.back().sound = false;
    }
    waiting_.clear();
    waiting_bytes_ = writing_ = 0;
    return suspicious;
}

bool SimDisk::rot(Random& random) {
    if (records_.empty())
        return false;
    // What is newest is most likely to matter.
    const std::size_t among = random.chance(0.5) ? std::min<std::size_t>(records_.size(), 12) : records_.size();
    Record& record = records_[records_.size() - 1 - random.draw(among)];
    if (record.kind != Kind::log && record.kind != Kind::state)
        return false;
    record.sound = false;
    return true;
}

// A stretch of records without a hole, and the log that they amount to.
std::unique_ptr<Storage> SimDisk::open() {
    struct Run {
        std::uint64_t known_from = std::numeric_limits<std::uint64_t>::max();
        std::uint64_t begin = 0; ///< position of the first byte of `log`
        std::vector<std::byte> log;
    };
    Recovered found;
    found.fresh = records_.empty();
    std::vector<Run> runs(1);
    runs.back().known_from = 0;
    bool state_lost = false;
    std::uint64_t end = 0; // of the log; each batch on a real disk tells, so it is known behind a hole, too
    for (const Record& record : records_) {
        Run* run = &runs.back();
        if (record.kind == Kind::log)
            end = record.position + record.bytes.size();
        if (!record.sound && (record.kind == Kind::log || record.kind == Kind::base)) {
            runs.emplace_back();
            continue;
        }
        if (!record.sound) {
            state_lost |= record.kind == Kind::state;
            continue;
        }
        switch (record.kind) {
        case Kind::log:
            if (record.bytes.empty() && record.position > run->begin + run->log.size())
                break; // cuts off nothing, before a base that the crash may have forestalled: nothing is missing
            if (run->log.empty() || record.position < run->begin) {
                run->begin = record.position;
                run->log.clear();
            } else if (record.position > run->begin + run->log.size()) {
                run = &runs.emplace_back(); // a gap: something is missing
                run->begin = record.position;
            }
            run->known_from = std::min(run->known_from, record.position);
            run->log.resize(record.position - run->begin);
            run->log.insert(run->log.end(), record.bytes.begin(), record.bytes.end());
            break;
        case Kind::state:
            found.state = record.state;
            state_lost = false;
            break;
        case Kind::base:
            if (record.base.position < found.base.position)
                break;
            found.base = record.base;
            if (record.base.position >= end) { // the log starts anew there
                end = record.base.position;
                run->begin = record.base.position;
                run->log.clear();
                run->known_from = std::min(run->known_from, record.base.position);
            }
            break;
        case Kind::repaired:
            suspect_ = false;
            break;
        }
    }
    std::size_t chosen = 0;
    for (std::size_t at = 0; at < runs.size(); ++at)
        if (runs[at].known_from <= found.base.position)
            chosen = at;
    Run& run = runs[chosen];
    suspect_ |= chosen + 1 != runs.size();
    found.suspect = suspect_;
    found.state_suspect = state_lost;
    if (run.begin < found.base.position) {
        const std::uint64_t before = std::min<std::uint64_t>(found.base.position - run.begin, run.log.size());
        run.log.erase(run.log.begin(), run.log.begin() + static_cast<std::ptrdiff_t>(before));
        run.begin = found.base.position;
    } else if (run.begin > found.base.position)
        run.log.clear();

    // From here on nothing that was refused has a say.
    const bool was_fresh = found.fresh;
    records_.clear();
    if (!was_fresh) {
        records_.push_back({.kind = Kind::base, .base = found.base});
        records_.push_back({.kind = Kind::state, .sound = !state_lost, .state = found.state});
        if (!run.log.empty())
            records_.push_back({.kind = Kind::log, .position = found.base.position, .bytes = run.log});
    }
    taken_ = durable_ = 0;
    failure_.reset();
    return std::make_unique<SimStorage>(*this, std::move(found), std::move(run.log));
}

} // namespace rdma_paxos::sim
