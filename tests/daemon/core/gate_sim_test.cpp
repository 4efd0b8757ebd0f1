// SPDX-License-Identifier: Apache-2.0
//
// The gate under a seeded simulation. A guest reads inputs, whose bytes its threads may use before they are logged,
// and emits frames; a log commits, stalls, loses entries and leaderships; leases end at any moment; the daemon
// dies; the guest does what cannot be logged; another host takes over; protection ends. A checker that knows what
// each frame may tell watches every frame that leaves.
#include <random>

#include <gtest/gtest.h>

#include "fake_xen.h"
#include "replicate/primary_pump.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;
using replicate::PrimaryPump;

constexpr size_t ring_bytes = 64 * 1024;

class World final : public replicate::Log, public gate::Gate {
  public:
    explicit World(uint32_t seed) : random_(seed) {
        pump_ = std::make_unique<PrimaryPump>(pages_.memory(), channel_, *this,
                                              PrimaryPump::Limits{50, 1 + seed % PrimaryPump::in_flight_max});
        pump_->guard();
    }

    void run(int steps) {
        for (int i = 0; i < steps && !failed_; ++i) {
            now_ += std::chrono::microseconds(1 + random_() % 3000);
            something();
            if (pump_ && random_() % 2 == 0)
                pump_->step(*this, now_);
        }
    }

    // Everything is well from here on, as far as it can be: what may leave, does.
    void settle() {
        while (!open_inputs_.empty())
            finish_input();
        for (int i = 0; i < 50 && pump_; ++i) {
            leads_ = !taken_over_;
            lease_ = leads_ ? now_ + 1h : now_;
            now_ += 10ms;
            commit(100);
            pump_->notice_frames();
            pump_->step(*this, now_);
        }
    }

    bool may_speak() const { return pump_ && !taken_over_ && (!unlogged_ || dissolved_); }
    bool all_left() const { return left_ == frames_.size(); }
    uint64_t left() const { return left_; }
    const std::string& failure() const { return failure_; }
    std::string describe() const {
        return "left " + std::to_string(left_) + " of " + std::to_string(frames_.size()) + ", committed " +
               std::to_string(committed_) + " of " + std::to_string(pages_.control.record_seq) + ", exposed " +
               std::to_string(pages_.control.exposed) + (dissolved_ ? ", dissolved" : "") +
               (pump_->broken() ? ", broken: " + *pump_->broken() : "");
    }
    bool failed() const { return failed_; }

  private:
    // What a frame may tell: the inputs that were visible when it was made, and whether unlogged ones were.
    struct Frame {
        size_t inputs;
        bool unlogged;
    };

    void something() {
        switch (random_() % 16) {
        case 0:
        case 1: // bytes are in user memory; nobody has logged them
            if (open_inputs_.size() < 4 && !unlogged_) {
                open_inputs_.push_back(inputs_.size());
                inputs_.push_back(std::nullopt);
            }
            break;
        case 2:
        case 3:
        case 4:
            if (!open_inputs_.empty())
                finish_input();
            break;
        case 5:
        case 6:
        case 7: // a thread enters the kernel, and sends
            if (!unlogged_)
                pages_.control.exposed = static_cast<uint32_t>(open_inputs_.size());
            frames_.push_back({inputs_.size(), unlogged_});
            if (pump_ && random_() % 3 != 0)
                pump_->notice_frames();
            break;
        case 8:
        case 9:
        case 10:
            commit(1 + random_() % 2);
            break;
        case 11: // the lease ends, at once or in the last moment before a release; or it is won anew
            lease_ = leads_ && !taken_over_ ? now_ + std::chrono::microseconds(random_() % 8000) : now_;
            break;
        case 12:
            if (!leads_) {
                leads_ = !taken_over_;
            } else if (random_() % 4 == 0) {
                leads_ = false;
                lease_ = now_;
                entries_.resize(entries_.size() - std::min<size_t>(entries_.size(), random_() % 3));
                if (pump_)
                    pump_->step(*this, now_);
            }
            break;
        case 13: // the guest does what cannot be logged: Xen says so before the guest goes on
            if (random_() % 40 == 0 && !unlogged_) {
                unlogged_ = true;
                open_inputs_.clear();
                pages_.control.unfit = TRIPOD_REASON_guest;
                pages_.control.exposed = 0;
            } else if (pump_ && pump_->unfit() != 0) {
                pump_->dissolve();
            }
            break;
        case 14: // another host: possible when nobody renewed the lease, and what was not committed is lost
            if (random_() % 60 == 0 && now_ >= lease_ && !taken_over_ && !dissolved_) {
                taken_over_ = true;
                leads_ = false;
                entries_.clear();
                if (pump_ && random_() % 2 == 0)
                    pump_->on_commit(rdma_paxos::Index(++index_), {}, replicate::encode_promoted(2));
            }
            break;
        case 15: // the daemon dies; the kernel drops what nobody listens to
            if (random_() % 100 == 0)
                pump_.reset();
            break;
        }
    }

    void finish_input() {
        const size_t which = random_() % open_inputs_.size();
        const auto bytes = testing::numbered_read(pages_.control.record_seq, random_() % 300);
        if (!pages_.log(bytes))
            return commit(1); // the thread waits for room
        inputs_[open_inputs_[which]] = pages_.control.record_seq - 1;
        open_inputs_.erase(open_inputs_.begin() + static_cast<ptrdiff_t>(which));
        if (pages_.control.exposed > open_inputs_.size())
            pages_.control.exposed = static_cast<uint32_t>(open_inputs_.size());
    }

    void commit(size_t count) {
        for (; count != 0 && !entries_.empty() && !taken_over_; --count) {
            const auto entry = std::move(entries_.front());
            entries_.erase(entries_.begin());
            const auto view = replicate::decode_header(entry);
            ASSERT_TRUE(view);
            if (view->kind == replicate::EntryKind::records && !dissolved_) {
                if (view->first_seq > committed_)
                    fail("the log has a gap");
                committed_ = std::max(committed_, view->first_seq + view->count);
            }
            dissolved_ |= view->kind == replicate::EntryKind::dissolved;
            if (pump_)
                pump_->on_commit(rdma_paxos::Index(++index_), {}, entry);
        }
    }

    void fail(const std::string& why) {
        failed_ = true;
        failure_ += why + "; ";
    }

    // -- the log
    Proposed propose(std::span<const std::byte> entry) override {
        if (!leads_)
            return Proposed::not_leader;
        if (entries_.size() >= 3)
            return Proposed::full;
        entries_.emplace_back(entry.begin(), entry.end());
        return Proposed::yes;
    }
    std::span<std::byte> reserve(std::size_t bytes) override {
        if (!leads_ || entries_.size() >= 3)
            return {};
        reserved_.assign(bytes, {});
        return reserved_;
    }
    Proposed propose_reserved() override { return propose(reserved_); }
    bool leading() const override { return leads_; }
    std::chrono::nanoseconds lease_deadline() const override { return lease_; }

    // -- the gate, with the checker
    int fd() const override { return -1; }
    uint64_t collect() override { return frames_.size(); }
    void discard() override {}
    bool release(uint64_t frame, gate::Nanoseconds deadline) override {
        const auto moment = now_ + std::chrono::microseconds(random_() % 2000); // the clock goes on meanwhile
        if (moment >= deadline)
            return false;
        if (frame > frames_.size() || frame <= left_)
            fail("frames leave out of order");
        if (!dissolved_ && (moment >= lease_ || taken_over_))
            fail("a frame leaves without a lease");
        for (; left_ < frame && !failed_; ++left_) {
            if (dissolved_)
                continue;
            if (frames_[left_].unlogged)
                fail("a frame leaves that depends on what nobody logged");
            for (size_t input = checked_inputs_; input < frames_[left_].inputs; ++input) {
                if (!inputs_[input] || *inputs_[input] >= committed_)
                    fail("frame " + std::to_string(left_) + " leaves before input " + std::to_string(input));
            }
            checked_inputs_ = std::max(checked_inputs_, frames_[left_].inputs);
        }
        return true;
    }

    std::mt19937 random_;
    testing::FakePages pages_{ring_bytes};
    testing::FakeChannel channel_;
    std::chrono::nanoseconds now_{1s}, lease_{2s};
    bool leads_ = true, taken_over_ = false, dissolved_ = false, unlogged_ = false, failed_ = false;
    std::vector<std::optional<uint64_t>> inputs_; // their numbers in the log, once they have one
    std::vector<size_t> open_inputs_;
    std::vector<Frame> frames_;
    std::vector<std::vector<std::byte>> entries_;
    std::vector<std::byte> reserved_;
    uint64_t committed_ = 0, index_ = 0, left_ = 0;
    size_t checked_inputs_ = 0;
    std::string failure_;
    std::unique_ptr<PrimaryPump> pump_;
};

TEST(GateSimulation, NothingLeavesTooEarlyAndNothingStaysForEver) {
    uint64_t left = 0, spoke = 0;
    for (uint32_t seed = 1; seed <= 3000; ++seed) {
        World world(seed);
        world.run(400);
        ASSERT_FALSE(world.failed()) << "seed " << seed << ": " << world.failure();
        const uint64_t before = world.left();
        world.settle();
        ASSERT_FALSE(world.failed()) << "seed " << seed << ", settling: " << world.failure();
        if (world.may_speak()) {
            ASSERT_TRUE(world.all_left())
                << "seed " << seed << ": something is held for ever: " << world.describe();
            ++spoke;
        }
        left += before;
    }
    EXPECT_GT(left, 30'000u) << "too little happened to mean anything";
    EXPECT_GT(spoke, 500u);
}

} // namespace
} // namespace tripod
