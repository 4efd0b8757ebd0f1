// SPDX-License-Identifier: Apache-2.0
#include "gate/frame_marks.h"

#include <algorithm>

namespace tripod::gate {

void FrameMarks::seen(uint64_t newest, rdma_paxos::Nanoseconds now) {
    if (newest <= newest_)
        return;
    if (!unmarked())
        unmarked_since_ = now;
    statistics_.frames += newest - newest_;
    newest_ = newest;
    statistics_.held_max = std::max(statistics_.held_max, held());
}

void FrameMarks::mark(uint64_t records) {
    if (!unmarked())
        return;
    marked_ = newest_;
    if (begin_ != end_ && (group(end_ - 1).mark >= records || end_ - begin_ == groups_max)) {
        // The same mark as those before; or no room to tell them apart.
        Group& last = group(end_ - 1);
        last.frame = newest_;
        last.mark = std::max(last.mark, records);
        return;
    }
    group(end_++) = {newest_, records, unmarked_since_};
}

uint64_t FrameMarks::releasable(uint64_t committed) const {
    uint64_t frame = 0;
    for (uint64_t number = begin_; number != end_ && group(number).mark <= committed; ++number)
        frame = group(number).frame;
    return frame;
}

void FrameMarks::released(uint64_t frame, rdma_paxos::Nanoseconds now) {
    frame = std::min(frame, newest_);
    if (frame <= released_)
        return;
    uint64_t before = released_;
    for (; begin_ != end_ && before < frame; ++begin_) {
        const Group& oldest = group(begin_);
        statistics_.held_for.record(now - oldest.since);
        before = oldest.frame;
        if (before > frame)
            break; // the rest of them is still here
    }
    statistics_.released += frame - released_;
    ++statistics_.releases;
    released_ = frame;
    marked_ = std::max(marked_, frame);
}

} // namespace tripod::gate
