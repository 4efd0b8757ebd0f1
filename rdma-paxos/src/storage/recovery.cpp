// SPDX-License-Identifier: Apache-2.0
#include "storage/recovery.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rdma_paxos::disk {

namespace {

// A stretch of batches without a gap, and what its log records amount to.
struct Run {
    std::vector<Extent> log;
    std::uint64_t start = ~std::uint64_t{0}; ///< from here on the run knows the log
    std::uint64_t hole_after = 0;            ///< the first batch that is missing behind it; 0: none
};

class Judge {
  public:
    Judge(std::vector<ScannedSegment> segments, Recovery& result)
        : segments_(std::move(segments)), result_(result) {}

    void run() {
        drop_unused();
        if (segments_.empty())
            return;
        find_limits();
        for (std::size_t at = 0; at < segments_.size(); ++at)
            take_segment(at);
        judge_tail();
        choose_log();
        sort_out_segments();
        result_.fresh = expected_ == 1 && !result_.damaged;
    }

    /// What the next recovery finds if this one begins a segment, and nothing is written into it. (SegmentWriter.)
    std::vector<ScannedSegment> left_behind(const Identity& identity) const {
        std::vector<ScannedSegment> left(segments_.begin(),
                                         segments_.begin() + static_cast<std::ptrdiff_t>(result_.segments.size()));
        std::size_t passed = 0;
        while (passed < left.size() && result_.segments[passed].log_end <= result_.base.position)
            ++passed;
        left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(passed));
        ScannedSegment& next = left.emplace_back();
        next.number = result_.next_segment;
        const SegmentHeader header{.number = next.number,
                                   .bytes = header_sectors * sector_bytes,
                                   .first_batch = result_.next_batch,
                                   .void_from = result_.void_from,
                                   .standing = result_.standing,
                                   .base = result_.base};
        if (const auto read = decode_header(encode(header, identity), identity))
            next.header = *read;
        next.header_damaged = !next.header;
        next.sectors = next.end = header_sectors;
        return left;
    }

  private:
    void note(const std::string& text) {
        result_.report += result_.report.empty() ? "" : "; ";
        result_.report += text;
    }

    // A segment is used only once its header is on disk, so a blank one at the end is one that was being made. A
    // blank one before others has lost what it held.
    void drop_unused() {
        while (!segments_.empty() && segments_.back().header_blank && segments_.back().batches.empty()) {
            (segments_.back().blank ? result_.unused : result_.aside).push_back(segments_.back().path);
            segments_.pop_back();
        }
    }

    // The header of a later segment says with which batch it goes on: what an earlier one has from there on was
    // refused by the recovery that began the later one. And it says from where on that recovery could not read.
    void find_limits() {
        limits_.assign(segments_.size(), ~std::uint64_t{0});
        std::uint64_t limit = ~std::uint64_t{0};
        for (std::size_t at = segments_.size(); at-- > 0;) {
            limits_[at] = limit;
            if (const auto& header = segments_[at].header) {
                limit = std::min(limit, header->first_batch);
                if (header->void_from < header->first_batch)
                    voids_.emplace_back(header->void_from, header->first_batch);
            }
        }
    }

    bool is_void(std::uint64_t batch) const {
        return std::any_of(voids_.begin(), voids_.end(),
                           [batch](const auto& range) { return batch >= range.first && batch < range.second; });
    }

    // Batches [expected_, until) are missing.
    void skip_to(std::uint64_t until, const std::string& where) {
        std::uint64_t from = expected_;
        expected_ = std::max(expected_, until);
        for (bool moved = true; moved;) {
            moved = false;
            for (const auto& [first, behind] : voids_)
                if (from >= first && from < behind) {
                    from = behind;
                    moved = true;
                }
        }
        if (from >= until)
            return;
        lose(from, fmt::format("{}: batches {} to {} are missing", where, from, until - 1));
    }

    void lose(std::uint64_t batch, const std::string& what) {
        note(what);
        result_.damaged = true;
        if (runs_.back().hole_after != 0)
            return;
        runs_.back().hole_after = batch;
        runs_.emplace_back();
    }

    void take_segment(std::size_t at) {
        ScannedSegment& segment = segments_[at];
        if (segment.unreadable > 0)
            note(fmt::format("{}: {} sectors could not be read", segment.path, segment.unreadable));
        if (segment.header_damaged) {
            note(fmt::format("{}: {}", segment.path,
                             segment.header ? "one copy of its header is damaged" : "its header is damaged"));
            damaged_.push_back(segment.number);
        }
        if (at == 0) {
            expected_ = segment.header            ? segment.header->first_batch
                        : segment.batches.empty() ? 1
                                                  : segment.batches.front().number;
            // The log begins with batch 1, or was cut off before this segment by a base.
            if (expected_ == 1)
                runs_.back().start = 0;
        }
        if (segment.header) {
            skip_to(segment.header->first_batch, segment.path);
            stand(segment.header->standing);
            advance_base(segment.header->base);
            runs_.back().start = std::min(runs_.back().start, segment.header->standing.log_end);
        }
        for (const FoundBatch& batch : segment.batches)
            if (batch.number < limits_[at])
                take_batch(at, batch);
        if (segment.stray > 0) {
            damaged_.push_back(segment.number);
            note(fmt::format("{}: {} sectors behind byte {} are neither blank nor valid", segment.path,
                             segment.stray, segment.end * sector_bytes));
        }
    }

    // Nothing shows that anything was written after it.
    bool is_last(std::size_t at, const FoundBatch& batch) const {
        return at + 1 == segments_.size() && &batch == &segments_[at].batches.back();
    }

    void take_batch(std::size_t at, const FoundBatch& batch) {
        const ScannedSegment& segment = segments_[at];
        if (batch.number < expected_) {
            lose(expected_, fmt::format("{}: batch {} stands here once more", segment.path, batch.number));
            return;
        }
        skip_to(batch.number, segment.path);
        const std::string where =
            fmt::format("{}, byte {}: batch {}", segment.path,
                        (batch.whole ? batch.place : batch.bad_place) * sector_bytes, batch.number);
        // Batches are written one after the other: the next is begun when the device has acknowledged this one. So
        // the last one may be half written, and was acknowledged by nobody; and a sector that is still blank proves
        // that it was. No other one may.
        if (!batch.whole && batch.has_blank && is_last(at, batch)) {
            result_.torn = true;
            note(where + " was being written at the end, and was never acknowledged");
            return;
        }
        expected_ = batch.number + 1;
        if (batch.standing)
            stand(*batch.standing);
        else
            state_lost_ = state_lost_ || batch.state_changed;
        if (batch.base)
            advance_base(*batch.base);
        if (!is_void(batch.number)) {
            Run& run = runs_.back();
            for (const Extent& extent : batch.log) {
                run.log.push_back(extent);
                run.start = std::min(run.start, extent.position);
            }
            if (batch.whole)
                run.start = std::min(run.start, batch.standing->log_end);
        }
        if (!batch.whole) {
            damaged_.push_back(segment.number);
            if (!is_void(batch.number))
                lose(batch.number, where + " is damaged");
        }
    }

    void stand(const Standing& standing) {
        result_.standing = standing;
        state_lost_ = false;
    }

    void advance_base(const SnapshotPoint& base) {
        if (base.position >= result_.base.position)
            result_.base = base;
    }

    // Behind the last batch nothing was acknowledged if the next sector is blank: it would be the first of the next
    // batch.
    void judge_tail() {
        const ScannedSegment& last = segments_.back();
        if (result_.torn)
            return;
        if (!last.header && last.batches.empty()) {
            lose_next(fmt::format("{}: nothing in it can be read", last.path));
        } else if (!last.end_blank) {
            lose_next(fmt::format("{}, byte {}: what follows batch {} is damaged", last.path,
                                  last.end * sector_bytes, expected_ - 1));
        } else if (last.stray > 0) {
            result_.torn = true; // not to be written over
        }
    }

    // How many batches it were is not known. One number stands for all of them: it is void from now on.
    void lose_next(const std::string& what) {
        lose(expected_, what);
        ++expected_;
        state_lost_ = true;
    }

    void choose_log() {
        // Empty runs at the end are no knowledge: what was lost before them may have been behind everything.
        std::size_t chosen = 0;
        for (std::size_t at = 0; at < runs_.size(); ++at)
            if (runs_[at].start <= result_.base.position)
                chosen = at;
        const Run& run = runs_[chosen];
        const bool whole = chosen + 1 == runs_.size() && run.start <= result_.base.position;
        if (!whole) {
            result_.standing.log_suspect = true;
            result_.void_from = run.hole_after != 0 ? run.hole_after : expected_;
        }
        result_.log_end = result_.base.position;
        if (run.start <= result_.base.position)
            for (const Extent& extent : run.log)
                put_on_log(extent);
        result_.standing.log_end = result_.log_end;
        if (state_lost_) {
            result_.standing.state_suspect = true;
            note("a newer term or vote may have been lost");
        }
        if (!whole)
            note(fmt::format("the log can be read from position {} to {}", result_.base.position, result_.log_end));
        result_.next_batch = expected_;
        if (whole)
            result_.void_from = expected_;
    }

    bool is_useless(const ScannedSegment& segment) const {
        return segment.batches.empty() || segment.batches.front().number >= result_.void_from;
    }

    // A stretch supersedes what was stored at or behind it, even one that lies before the base: a tail behind the
    // base that it cut off must not come back.
    void put_on_log(Extent extent) {
        std::vector<Extent>& log = result_.log;
        const std::uint64_t base = result_.base.position;
        while (!log.empty() && log.back().position >= extent.position)
            log.pop_back();
        if (!log.empty())
            log.back().length = std::min(log.back().length, extent.position - log.back().position);
        const std::uint64_t cut = std::min(std::max(extent.position, base) - extent.position, extent.length);
        extent.position += cut;
        extent.offset += cut;
        extent.length -= cut;
        if (extent.length > 0)
            log.push_back(extent);
        result_.log_end = log.empty() ? base : log.back().position + log.back().length;
    }

    void sort_out_segments() {
        const bool unclean = result_.damaged || result_.torn;
        // From the end on: segments in which everything is void. The next header says what theirs said.
        std::size_t useful = segments_.size();
        while (unclean && useful > 0 && is_useless(segments_[useful - 1])) {
            const ScannedSegment& segment = segments_[--useful];
            if (segment.header)
                result_.void_from = std::min(result_.void_from, segment.header->void_from);
            const bool nothing_to_see = segment.batches.empty() && segment.stray == 0 && !segment.header_damaged;
            (nothing_to_see ? result_.unused : result_.aside).push_back(segment.path);
        }
        for (std::size_t at = 0; at < useful; ++at) {
            const ScannedSegment& segment = segments_[at];
            const bool is_damaged =
                std::find(damaged_.begin(), damaged_.end(), segment.number) != damaged_.end() || segment.blank;
            Recovery::Kept kept{
                .number = segment.number, .path = segment.path, .log_end = 0, .damaged = is_damaged};
            for (const FoundBatch& batch : segment.batches)
                for (const Extent& extent : batch.log)
                    kept.log_end = std::max(kept.log_end, extent.position + extent.length);
            result_.segments.push_back(kept);
        }
        if (!unclean && !segments_.empty()) {
            result_.append_place = segments_.back().end;
            result_.append_sectors = segments_.back().sectors;
        }
    }

    std::vector<ScannedSegment> segments_;
    Recovery& result_;
    std::vector<std::uint64_t> limits_; ///< per segment: the first batch that it has no say in
    std::vector<std::pair<std::uint64_t, std::uint64_t>> voids_;
    std::vector<Run> runs_ = std::vector<Run>(1);
    std::vector<std::uint64_t> damaged_; ///< segments
    std::uint64_t expected_ = 1;         ///< the next batch
    bool state_lost_ = false;
};

// The next recovery must conclude the same, and so must all that follow, if nothing is written meanwhile: what was
// told to others would be taken back. Damage cannot bring that about, since what it hits does not pass for whole.
// Sectors whose checks fit, and which say what this program would not have written, can.
tl::expected<void, Error> stands_by(const Judge& judge, const Recovery& result, const Identity& identity) {
    constexpr int rounds_max = 8; // damage needs three
    std::vector<ScannedSegment> left = judge.left_behind(identity);
    Recovery before = result;
    for (int round = 0; round < rounds_max; ++round) {
        Recovery again;
        again.next_segment = before.next_segment + 1;
        Judge next(std::move(left), again);
        next.run();
        if (again.standing != result.standing || again.base != result.base || again.log != result.log ||
            again.log_end != result.log_end)
            break;
        const bool leaves_the_same = again.next_batch == before.next_batch && again.void_from == before.void_from &&
                                     again.segments.size() == before.segments.size();
        if (leaves_the_same || (!again.damaged && !again.torn))
            return {};
        left = next.left_behind(identity);
        before = std::move(again);
    }
    return tl::unexpected(
        Error{fmt::format("what is stored contradicts itself, though its checks fit: it was written by a faulty "
                          "program or memory, or changed on purpose. Begin with an empty folder, and let the group "
                          "take this replica in anew ({})",
                          result.report)});
}

} // namespace

tl::expected<Recovery, Error> recover(Syscalls& system, const std::string& folder, const Identity& identity) {
    std::vector<std::string> names;
    if (const int listed = system.list(folder, names); listed < 0)
        return tl::unexpected(Error{fmt::format("list {}: {}", folder, std::strerror(-listed))});
    std::vector<std::uint64_t> numbers;
    for (const std::string& name : names)
        if (const auto number = segment_number(name))
            numbers.push_back(*number);
    std::sort(numbers.begin(), numbers.end());
    std::vector<ScannedSegment> segments;
    for (const std::uint64_t number : numbers) {
        auto scanned = scan_segment(system, folder + "/" + segment_name(number), number, identity);
        if (!scanned)
            return tl::unexpected(scanned.error());
        segments.push_back(std::move(*scanned));
    }
    Recovery result;
    if (!numbers.empty())
        result.next_segment = numbers.back() + 1;
    Judge judge(std::move(segments), result);
    judge.run();
    if (result.damaged || result.torn)
        if (const auto sure = stands_by(judge, result, identity); !sure)
            return tl::unexpected(Error{fmt::format("{}: {}", folder, sure.error().what)});
    return result;
}

} // namespace rdma_paxos::disk
