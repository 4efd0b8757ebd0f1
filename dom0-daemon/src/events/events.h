// SPDX-License-Identifier: Apache-2.0
//
// What happened to each VM and when: a short timeline that `tripod status` shows and that failover times are read
// from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tripod {

struct Event {
    std::string name;
    std::int64_t time_ns = 0; // CLOCK_REALTIME
    std::string detail;       // may be empty
};

// Names with a meaning for scripts (docs/commands.md lists them); others may be added freely.
namespace event {
inline constexpr std::string_view protect_started = "protect_started"; // the admin's request was accepted
inline constexpr std::string_view protected_ = "protected";            // every backup asked for follows the log
inline constexpr std::string_view unprotected = "unprotected";
inline constexpr std::string_view backup_lost = "backup_lost"; // the primary: a backup cannot take over (any more);
                                                               // detail: the host, and why if it still answers
inline constexpr std::string_view copy_lost =
    "copy_lost"; // on a backup: its copy does not run, or missed too much; detail: the host and why
inline constexpr std::string_view peer_rejected =
    "peer_rejected"; // a connection to the group was turned away, or turned this host away; detail: who and why
inline constexpr std::string_view diverged = "diverged"; // detail: host, index, thread, expected, found
inline constexpr std::string_view detected = "detected"; // this backup takes the primary for dead
inline constexpr std::string_view elected = "elected";   // this host leads the group; detail: the term
inline constexpr std::string_view drained = "drained";   // every committed record is applied
inline constexpr std::string_view live = "live";         // the VM runs on by itself here
inline constexpr std::string_view network_moved =
    "network_moved"; // its vif is on the real bridge, address announced
inline constexpr std::string_view network_failed =
    "network_failed"; // it is live and could not be brought onto the network; detail: why. Tried again
inline constexpr std::string_view broken =
    "broken"; // protection is lost by what happened here: nothing leaves until the group has decided; detail: what
inline constexpr std::string_view failed = "failed"; // an operation was given up; detail: why
} // namespace event

// Thread-safe. Keeps the newest `capacity` events of each VM.
class Events {
  public:
    using Clock = std::int64_t (*)(); // nanoseconds of CLOCK_REALTIME

    explicit Events(std::size_t capacity = 256, Clock clock = &Events::realtime_ns);

    // Notes that `name` happens now to VM `vm` (its name, which stays the same across hosts); also logs it.
    void add(std::string_view vm, std::string_view name, std::string_view detail = {});
    // Oldest first; empty for an unknown VM.
    std::vector<Event> of(std::string_view vm) const;
    // Time of the newest event `name`; 0 when there is none.
    std::int64_t last_ns(std::string_view vm, std::string_view name) const;
    void forget(std::string_view vm);

    static std::int64_t realtime_ns();

  private:
    const std::size_t capacity_;
    const Clock clock_;
    mutable std::mutex mutex_;
    std::map<std::string, std::vector<Event>, std::less<>> by_vm_;
};

} // namespace tripod
