// SPDX-License-Identifier: Apache-2.0
#include "storage/file_storage_impl.h"

#include "consensus/invariant.h"
#include "storage/segment_writer.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <pthread.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

namespace rdma_paxos {

namespace {

using disk::Batch;
using disk::Identity;
using disk::Recovery;
using disk::SegmentWriter;
using disk::Standing;

constexpr const char* lock_name = "/lock";
constexpr std::size_t stretch_limit = 0xffff0000;

// A file that is closed when nobody needs it any more.
class OpenFile {
  public:
    explicit OpenFile(Syscalls& system) : system_(system) {}
    ~OpenFile() { reset(-1); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    void reset(int file) {
        if (file_ >= 0)
            system_.close(file_);
        file_ = file;
    }
    int get() const { return file_; }

  private:
    Syscalls& system_;
    int file_ = -1;
};

// Two batches: one is filled by the replica while the thread has the other on its way to the disk. All that gathers
// during a write goes out with the next.
class FileStorage : public Storage {
  public:
    FileStorage(const FileStorageOptions& options, Syscalls& system)
        : system_(system), folder_(options.folder), identity_{options.group, options.self}, lock_(system),
          read_file_(system), writer_(system, options.folder, identity_, options.segment_bytes),
          filling_(options.queue_bytes / 2), writing_(options.queue_bytes / 2) {}

    ~FileStorage() override {
        if (thread_.joinable()) {
            {
                const std::lock_guard lock(mutex_);
                closing_ = true;
            }
            wake_.notify_one();
            thread_.join();
        }
        if (event_ >= 0)
            ::close(event_);
    }

    FileStorage(const FileStorage&) = delete;
    FileStorage& operator=(const FileStorage&) = delete;

    tl::expected<void, Error> open() {
        if (identity_.self == nobody || identity_.self.value() > max_replica_id)
            return tl::unexpected(Error{fmt::format("storage {}: no such replica id", folder_)});
        event_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (event_ < 0)
            return tl::unexpected(Error{fmt::format("eventfd: {}", std::strerror(errno))});
        if (auto locked = take_folder(); !locked)
            return locked;
        auto found = disk::recover(system_, folder_, identity_);
        if (!found)
            return tl::unexpected(found.error());
        if (auto ready = writer_.resume(*found); !ready)
            return ready;
        standing_ = found->standing;
        recovered_ = {.fresh = found->fresh,
                      .state = standing_.state,
                      .base = found->base,
                      .suspect = standing_.log_suspect,
                      .state_suspect = standing_.state_suspect,
                      .report = std::move(found->report)};
        to_read_ = std::move(found->log);
        return {};
    }

    const Recovered& recovered() const override { return recovered_; }

    std::optional<Stretch> read_back() override {
        invariant(!thread_.joinable(), "the log is read back before anything is stored");
        if (next_to_read_ == to_read_.size() || failure())
            return std::nullopt;
        const disk::Extent& extent = to_read_[next_to_read_++];
        if (read_file_.get() < 0 || read_segment_ != extent.segment) {
            read_file_.reset(system_.open(folder_ + "/" + disk::segment_name(extent.segment), O_RDONLY));
            read_segment_ = extent.segment;
        }
        if (read_file_.get() < 0 || !disk::read_extent(system_, read_file_.get(), extent, identity_, stretch_)) {
            // It could be read a moment ago, so this device is not to be trusted with anything.
            fail({fmt::format("read {}/{}: not what it was when it was opened", folder_,
                              disk::segment_name(extent.segment))});
            return std::nullopt;
        }
        return Stretch{extent.position, stretch_};
    }

    Ticket store_log(std::uint64_t position, Bytes bytes) override {
        invariant(bytes.size() <= stretch_limit, "a stretch of gigabytes");
        Standing after = standing_;
        after.log_end = position + bytes.size();
        return hand_over(bytes.size(), after, false, [&](Batch& batch) { batch.add_log(position, bytes); });
    }

    Ticket store_state(const HardState& state) override {
        Standing after = standing_;
        after.state = state;
        after.state_suspect = false;
        return hand_over(0, after, true, [](Batch&) {});
    }

    Ticket store_base(const SnapshotPoint& point) override {
        Standing after = standing_;
        after.log_end = std::max(after.log_end, point.position);
        return hand_over(max_encoded_snapshot_point, after, false,
                         [&](Batch& batch) { batch.add_base(point, identity_.group); });
    }

    Ticket store_repaired() override {
        Standing after = standing_;
        after.log_suspect = false;
        return hand_over(0, after, false, [](Batch&) {});
    }

    Ticket durable() override {
        // The thread writes the event before it sets the flag: at worst one wake-up is for nothing, none is lost.
        if (signalled_.load(std::memory_order_acquire) && signalled_.exchange(false)) {
            std::uint64_t count = 0;
            [[maybe_unused]] const ssize_t got = ::read(event_, &count, sizeof count);
        }
        return durable_.load(std::memory_order_acquire);
    }

    const std::optional<Error>& failure() const override {
        static const std::optional<Error> none;
        return failed_.load(std::memory_order_acquire) ? error_ : none;
    }

    int event_fd() const override { return event_; }

  private:
    tl::expected<void, Error> take_folder() {
        if (const int made = system_.mkdir(folder_); made < 0 && made != -EEXIST)
            return tl::unexpected(Error{fmt::format("make {}: {}", folder_, std::strerror(-made))});
        const std::string path = folder_ + lock_name;
        lock_.reset(system_.open(path, O_RDWR | O_CREAT));
        if (lock_.get() < 0)
            return tl::unexpected(Error{fmt::format("open {}: {}", path, std::strerror(-lock_.get()))});
        if (const int locked = system_.flock(lock_.get()); locked < 0)
            return tl::unexpected(
                Error{fmt::format("lock {}: {}", path,
                                  locked == -EWOULDBLOCK ? "in use by another process" : std::strerror(-locked))});
        return {};
    }

    // No allocation, unless a stretch is larger than half the queue: such a one is taken when nothing else waits.
    template <class Add>
    Ticket hand_over(std::size_t body, const Standing& after, bool state_changed, const Add& add) {
        if (failure())
            return 0;
        if (!thread_.joinable())
            start();
        {
            const std::lock_guard lock(mutex_);
            if (!filling_.empty() && !filling_.has_room(body))
                return 0;
            add(filling_);
            filling_.set_standing(after, state_changed);
            standing_ = after;
            ++handed_over_;
        }
        wake_.notify_one();
        return handed_over_;
    }

    void start() {
        read_file_.reset(-1);
        thread_ = std::thread([this] { run(); });
        ::pthread_setname_np(thread_.native_handle(), "rpaxos-disk");
    }

    void run() {
        for (;;) {
            Ticket last = 0;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [this] { return closing_ || !filling_.empty(); });
                if (filling_.empty())
                    return;
                std::swap(filling_, writing_);
                last = handed_over_;
            }
            if (auto written = writer_.write(writing_); !written) {
                fail(std::move(written.error()));
                signal();
                return;
            }
            writing_.clear();
            durable_.store(last, std::memory_order_release);
            signal();
        }
    }

    void signal() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t put = ::write(event_, &one, sizeof one);
        signalled_.store(true, std::memory_order_release);
    }

    void fail(Error error) {
        error_ = std::move(error);
        failed_.store(true, std::memory_order_release);
    }

    Syscalls& system_;
    std::string folder_;
    Identity identity_;
    OpenFile lock_;
    OpenFile read_file_;
    SegmentWriter writer_; ///< the thread's, once it runs
    Recovered recovered_;
    std::vector<disk::Extent> to_read_;
    std::size_t next_to_read_ = 0;
    std::uint64_t read_segment_ = 0;
    std::vector<std::byte> stretch_;
    Standing standing_; ///< after everything handed over
    int event_ = -1;

    std::mutex mutex_;
    std::condition_variable wake_;
    Batch filling_;          ///< under the mutex
    Ticket handed_over_ = 0; ///< under the mutex; written by the caller's thread only
    bool closing_ = false;   ///< under the mutex
    Batch writing_;          ///< the thread's
    std::atomic<Ticket> durable_ = 0;
    std::atomic<bool> signalled_ = false;
    std::atomic<bool> failed_ = false;
    std::optional<Error> error_; ///< written once, before failed_
    std::thread thread_;
};

} // namespace

tl::expected<std::unique_ptr<Storage>, Error> open_file_storage(const FileStorageOptions& options,
                                                                Syscalls& system) {
    auto storage = std::make_unique<FileStorage>(options, system);
    if (auto opened = storage->open(); !opened)
        return tl::unexpected(opened.error());
    return storage;
}

tl::expected<std::unique_ptr<Storage>, Error> open_file_storage(const FileStorageOptions& options) {
    static Syscalls system;
    return open_file_storage(options, system);
}

} // namespace rdma_paxos
