// SPDX-License-Identifier: Apache-2.0
//
// Which of the held frames may leave. Each frame has a mark: so many records must be committed first. A frame is
// seen before it is marked, for the records that could have influenced it are known only after a look at it (see
// public/tripod.h). Frames leave in order, so one that waits holds back all that came later.
//
// Pure: no clock, no system call. Memory for a bounded number of different marks is taken once; beyond that, frames
// share the mark of those after them, which is only ever too strict.
#pragma once

#include <cstdint>
#include <vector>

#include <rdma_paxos/histogram.h>

namespace tripod::gate {

struct Statistics {
    uint64_t frames = 0;   // seen
    uint64_t released = 0; // frames
    uint64_t releases = 0; // batches
    uint64_t held_max = 0; // frames at once
    rdma_paxos::Histogram held_for;
};

class FrameMarks {
  public:
    static constexpr size_t groups_max = 4096;

    FrameMarks() : groups_(groups_max) {}

    // Frames up to number `newest` have been seen by `now`.
    void seen(uint64_t newest, rdma_paxos::Nanoseconds now);
    // All that are seen and have no mark yet may leave once `records` records are committed. Marks never fall.
    void mark(uint64_t records);
    // The newest frame that may leave when so many records are committed. 0, or one released before: none.
    uint64_t releasable(uint64_t committed) const;
    // Frames up to that number have left. Unmarked ones may be among them.
    void released(uint64_t frame, rdma_paxos::Nanoseconds now);

    uint64_t newest() const { return newest_; }
    uint64_t last_released() const { return released_; }
    uint64_t held() const { return newest_ - released_; }
    bool unmarked() const { return marked_ != newest_; }
    // What the frames held want: so many records committed. 0: nothing is held, or all of it unmarked.
    uint64_t wanted() const { return begin_ == end_ ? 0 : group(end_ - 1).mark; }
    const Statistics& statistics() const { return statistics_; }

  private:
    struct Group {          // of frames with one mark
        uint64_t frame = 0; // the last one
        uint64_t mark = 0;
        rdma_paxos::Nanoseconds since{}; // the first of them was seen then
    };
    Group& group(uint64_t number) { return groups_[number % groups_max]; }
    const Group& group(uint64_t number) const { return groups_[number % groups_max]; }

    std::vector<Group> groups_; // a ring: numbers begin_ to end_
    uint64_t begin_ = 0, end_ = 0;
    uint64_t newest_ = 0, marked_ = 0, released_ = 0;
    rdma_paxos::Nanoseconds unmarked_since_{};
    Statistics statistics_;
};

} // namespace tripod::gate
