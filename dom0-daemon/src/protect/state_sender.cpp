// SPDX-License-Identifier: Apache-2.0
#include "protect/state_sender.h"

#include <cerrno>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "peer/state_codec.h"

namespace tripod::protect {

namespace {

constexpr int resume_attempts = 5;
constexpr std::chrono::milliseconds resume_pause{200};

// Runs libxl's save, and what must happen while the domain is suspended, on a thread of its own: it writes into a
// pipe that the caller reads.
class Saver {
  public:
    Saver(vm::Context& context, vm::PrimaryVm& vm, UniqueFd out)
        : thread_([this, &context, &vm, fd = std::move(out)]() mutable { run(context, vm, std::move(fd)); }) {
        pthread_setname_np(thread_.native_handle(), "save");
    }
    ~Saver() { join(); }
    Result<void> join() {
        if (thread_.joinable())
            thread_.join();
        return result_;
    }

  private:
    void run(vm::Context& context, vm::PrimaryVm& vm, UniqueFd fd) {
        auto toolstack = context.open_toolstack();
        if (!toolstack) {
            result_ = tl::unexpected(toolstack.error());
            return;
        }
        const auto saved = (*toolstack)->suspend_to(vm.domid(), fd.get());
        if (!saved)
            result_ = tl::unexpected(vm::as_error(saved.error()));
        else
            result_ = vm.record_from_here();
        // Also after a failed save: the guest may be suspended already, and must not stay so.
        // A guest that is left suspended is a guest that we have stopped: once is not enough.
        for (int attempt = 1;; ++attempt) {
            const auto resumed = (*toolstack)->resume(vm.domid());
            if (resumed)
                return;
            log::error("{}: {}", vm.name(), resumed.error().what);
            if (attempt == resume_attempts) {
                result_ = fail(ErrorCode::other, "the VM could not be resumed: " + resumed.error().what,
                               "try \"xl unpause " + vm.name() + "\"; else destroy and start it");
                return;
            }
            std::this_thread::sleep_for(resume_pause);
        }
    }

    Result<void> result_;
    std::thread thread_;
};

// The next piece of the stream: up to `piece.size()` bytes, fewer only at its end.
size_t read_piece(int fd, std::span<std::byte> piece) {
    size_t filled = 0;
    while (filled < piece.size()) {
        const ssize_t got = read(fd, piece.data() + filled, piece.size() - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        filled += static_cast<size_t>(got);
    }
    return filled;
}

} // namespace

Result<void> send_state(vm::Context& context, vm::PrimaryVm& vm, std::vector<BackupLink>& backups,
                        uint64_t memory_kib, Progress& progress) {
    for (auto& backup : backups)
        if (auto begun = backup.begin_state(); !begun)
            return begun;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(ErrorCode::other, std::string("cannot make a pipe: ") + std::strerror(errno));
    UniqueFd in(ends[0]);
    fcntl(in.get(), F_SETPIPE_SZ, 1024 * 1024); // fewer switches between the two; not needed
    Saver saver(context, vm, UniqueFd(ends[1]));

    peer::StateEncoder encoder;
    std::vector<std::byte> piece(peer::chunk_raw_max);
    Result<void> sent;
    uint64_t raw_bytes = 0;
    for (size_t size = 0; sent && (size = read_piece(in.get(), piece)) != 0;) {
        const auto body = encoder.encode(std::span(piece).first(size));
        for (auto& backup : backups) {
            if (sent = backup.send_chunk(body); !sent)
                break;
            vm.state_bytes += body.size();
            ++vm.state_chunks;
        }
        const uint64_t before = raw_bytes / (32 << 20);
        raw_bytes += size;
        if (raw_bytes / (32 << 20) != before)
            progress.say(fmt::format("{} of {} MiB copied", raw_bytes >> 20, memory_kib >> 10));
        if (sent && progress.cancelled())
            sent = fail(ErrorCode::cancelled, "cancelled");
    }
    // After a failure the save has nobody to write to any more, fails too, and resumes the guest.
    in.reset();
    auto saved = saver.join();
    if (!sent)
        return sent;
    if (!saved)
        return saved;
    const auto totals = encoder.finish();
    for (auto& backup : backups)
        if (auto ended = backup.send_end(totals); !ended)
            return ended;
    return {};
}

} // namespace tripod::protect
