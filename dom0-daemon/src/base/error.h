// SPDX-License-Identifier: Apache-2.0
//
// The one error type of the daemon and the command: an expected failure, told so that an admin can act on it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace tripod {

// Each value is the exit code of the command `tripod`, promised in docs/commands.md: never renumber one.
enum class ErrorCode : std::uint8_t {
    other = 1,              // usage, or anything without a code of its own
    no_such_vm = 3,         // no domain of that name or id on this host
    daemon_not_running = 4, // nobody listens on the local socket
    already_protected = 5,  // protect of a VM that is protected
    backup_unreachable = 6, // name does not resolve, connection refused or timed out
    backup_refused = 7, // the backup answered and said no: no patched Xen, another interface version, no memory…
    unsupported_guest = 8, // HVM or PVH, 32-bit, more than one vCPU, a guest kernel without a profile
    not_protected = 9,     // unprotect, failover of a VM that is not protected
    host_unfit = 10,       // this host: no patched Xen, another interface version, no RDMA device
    not_now = 11, // another operation on this VM runs, or the group cannot do it now (no majority, no fit backup)
    bad_backups = 12, // protect onto itself, the same host twice, too few or too many backups
    permission = 13,  // not root
    bad_config = 14,  // the configuration file
    protocol = 15,    // daemon and command (or two daemons) do not understand each other
    timed_out = 16,   // began, and did not end in time; what was begun is undone
    cancelled = 17,   // the client went away, or the daemon is stopping
};

struct Error {
    ErrorCode code = ErrorCode::other;
    std::string message; // what failed, on which thing; no full stop: "no VM named web9 on h1"
    std::string remedy;  // what the admin can do about it; may be empty
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string remedy = {}) {
    return tl::unexpected<Error>(Error{code, std::move(message), std::move(remedy)});
}

// "no-such-vm": the code's name in JSON and in `tripod help exit-codes`; "other" for a number that is none.
const char* error_code_name(ErrorCode code);
// One line on what the code means.
const char* error_code_meaning(ErrorCode code);
// The code with this number; `other` for a number that is none (a newer daemon's).
ErrorCode error_code_from_number(long number);

} // namespace tripod
