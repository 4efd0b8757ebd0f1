// SPDX-License-Identifier: Apache-2.0
//
// Single values in strace's notation. All take bytes that the guest chose, of any length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "public/tripod.h"

namespace tripod::record {

using Bytes = std::span<const std::byte>;

// A T from the front of `bytes`, if they are enough.
template <typename T>
std::optional<T> load(Bytes bytes, std::size_t offset = 0) {
    if (bytes.size() < sizeof(T) || offset > bytes.size() - sizeof(T))
        return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// "\"*3\\r\\n\"": quoted, with C escapes; "..." after it when there are more than `max` bytes.
std::string quoted(Bytes bytes, std::size_t max);
std::string hex(Bytes bytes);
// "NULL" or "0x7ffc…".
std::string pointer(std::uint64_t address);
// "5", "-1 EAGAIN (Resource temporarily unavailable)", "? ERESTARTSYS (…)".
std::string result_text(std::int64_t result);
// "EAGAIN"; empty when `result` is no error.
std::string errno_name(std::int64_t result);
// "{sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr(\"10.0.0.9\")}".
std::string sockaddr_text(Bytes bytes);
// "10.0.0.9:40000", "[fe80::1]:40000".
std::string address_text(std::uint16_t family, const std::uint8_t address[16], std::uint16_t port);
// "[{EPOLLIN, {u32=7, u64=7}}, …]": at most `count` events of 12 bytes.
std::string epoll_events_text(Bytes bytes, std::uint64_t count);
// "[{fd=7, events=POLLIN, revents=POLLIN}]".
std::string pollfds_text(Bytes bytes);
// "{tv_sec=1, tv_nsec=2}" with the given name of the second member; "{...}" when too short.
std::string time_text(Bytes bytes, const char* fraction);
// One value out of a list of names; the number when it has none.
std::string clock_name(std::uint64_t clock);
std::string family_name(std::uint64_t family);
std::string socket_type_name(std::uint64_t type);
std::string shutdown_name(std::uint64_t how);
std::string socket_level_name(std::uint64_t level);
std::string socket_option_name(std::uint64_t level, std::uint64_t option);
std::string tcp_state_name(std::uint16_t state);

} // namespace tripod::record
