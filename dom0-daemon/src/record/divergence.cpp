// SPDX-License-Identifier: Apache-2.0
#include "record/divergence.h"

#include <fmt/format.h>
#include <public/tripod.h>

#include "record/syscall_names.h"

namespace tripod::record {

namespace {

std::string guest_text(uint64_t what) {
    switch (what) {
    case TRIPOD_GUEST_compat_call:
        return "it is a 32-bit or x32 call";
    case TRIPOD_GUEST_too_large:
        return "it moves too many bytes at once";
    case TRIPOD_GUEST_bad_buffer:
        return "its buffer cannot be read";
    case TRIPOD_GUEST_too_many:
        return "too many threads or processes at once";
    case TRIPOD_GUEST_unsupported:
        return "it is not supported on a network socket";
    }
    return fmt::format("cause {}", what);
}

} // namespace

std::string divergence_text(uint64_t seq, uint32_t tid, uint16_t nr, uint32_t reason, uint64_t expected,
                            uint64_t found) {
    const std::string call = syscall_name(nr);
    const std::string where = fmt::format("at record {}, thread {}: ", seq, tid);
    const auto name = [](uint64_t number) { return syscall_name(static_cast<uint16_t>(number)); };
    switch (reason) {
    case TRIPOD_REASON_none:
        return {};
    case TRIPOD_REASON_syscall:
        return where + fmt::format("expected the call {}, found {}", name(expected), name(found));
    case TRIPOD_REASON_descriptor:
        return where + fmt::format("{}: expected file descriptor {}, found {}", call,
                                   static_cast<int64_t>(expected), static_cast<int64_t>(found));
    case TRIPOD_REASON_output:
        return where +
               fmt::format("{}: other bytes were sent: expected digest {:#x}, found {:#x}", call, expected, found);
    case TRIPOD_REASON_length:
        return where + fmt::format("{}: expected an output of {} bytes, found {}", call, expected, found);
    case TRIPOD_REASON_result:
        return where + fmt::format("{}: expected the result {}, found {}", call, static_cast<int64_t>(expected),
                                   static_cast<int64_t>(found));
    case TRIPOD_REASON_record:
        return where + fmt::format("{}: the record is malformed, or does not fit the call", call);
    case TRIPOD_REASON_socket:
        return where +
               fmt::format("a network socket with another end: expected port {}, found {}", expected, found);
    case TRIPOD_REASON_capacity:
        return where + fmt::format("{}: expected room for {} bytes, found {}", call, expected, found);
    case TRIPOD_REASON_guest:
        return where + fmt::format("{}: this call cannot be recorded: {}", call, guest_text(found));
    }
    return where + fmt::format("{}: reason {}, expected {:#x}, found {:#x}", call, reason, expected, found);
}

} // namespace tripod::record
