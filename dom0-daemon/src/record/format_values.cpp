// SPDX-License-Identifier: Apache-2.0
#include "record/format_values.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include <arpa/inet.h>
#include <cerrno>
#include <fmt/core.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

namespace tripod::record {

namespace {

struct NamedBit {
    std::uint32_t bit;
    const char* name;
};

template <std::size_t N>
std::string flags_text(std::uint32_t value, const NamedBit (&bits)[N]) {
    std::string out;
    for (const NamedBit& b : bits)
        if (value & b.bit) {
            out += (out.empty() ? "" : "|") + std::string(b.name);
            value &= ~b.bit;
        }
    if (value || out.empty())
        out += fmt::format("{}{:#x}", out.empty() ? "" : "|", value);
    return out == "0x0" ? "0" : out;
}

using NamedValue = std::pair<std::uint64_t, const char*>;

std::string one_of(std::uint64_t value, std::initializer_list<NamedValue> names) {
    for (const auto& [v, name] : names)
        if (v == value)
            return name;
    return value < 4096 ? fmt::format("{}", value) : fmt::format("{:#x}", value);
}

constexpr NamedBit epoll_bits[] = {
    {EPOLLIN, "EPOLLIN"},         {EPOLLPRI, "EPOLLPRI"},       {EPOLLOUT, "EPOLLOUT"},
    {EPOLLRDNORM, "EPOLLRDNORM"}, {EPOLLRDBAND, "EPOLLRDBAND"}, {EPOLLWRNORM, "EPOLLWRNORM"},
    {EPOLLWRBAND, "EPOLLWRBAND"}, {EPOLLMSG, "EPOLLMSG"},       {EPOLLERR, "EPOLLERR"},
    {EPOLLHUP, "EPOLLHUP"},       {EPOLLRDHUP, "EPOLLRDHUP"},
};
constexpr NamedBit poll_bits[] = {
    {POLLIN, "POLLIN"},   {POLLPRI, "POLLPRI"}, {POLLOUT, "POLLOUT"},
    {POLLERR, "POLLERR"}, {POLLHUP, "POLLHUP"}, {POLLNVAL, "POLLNVAL"},
};

// Codes that the kernel never gives to a program but that a traced call may end with; see linux/errno.h.
const char* restart_name(std::int64_t error) {
    switch (error) {
    case 512:
        return "ERESTARTSYS (To be restarted if SA_RESTART is set)";
    case 513:
        return "ERESTARTNOINTR (To be restarted)";
    case 514:
        return "ERESTARTNOHAND (To be restarted if no handler)";
    case 516:
        return "ERESTART_RESTARTBLOCK (Interrupted by signal)";
    default:
        return nullptr;
    }
}

} // namespace

std::string quoted(Bytes bytes, std::size_t max) {
    const std::size_t shown = std::min(bytes.size(), max);
    std::string out = "\"";
    for (std::size_t i = 0; i < shown; i++) {
        const auto c = static_cast<unsigned char>(bytes[i]);
        switch (c) {
        case '"':
            out += "\\\"";
            break;
        case '\\':
            out += "\\\\";
            break;
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        case '\t':
            out += "\\t";
            break;
        case '\v':
            out += "\\v";
            break;
        case '\f':
            out += "\\f";
            break;
        default:
            if (c >= 0x20 && c < 0x7f) {
                out += static_cast<char>(c);
            } else {
                // The short form would swallow a digit that follows.
                const bool digit_next =
                    i + 1 < shown && bytes[i + 1] >= std::byte{'0'} && bytes[i + 1] <= std::byte{'9'};
                out += digit_next ? fmt::format("\\{:03o}", c) : fmt::format("\\{:o}", c);
            }
        }
    }
    out += '"';
    if (shown < bytes.size())
        out += "...";
    return out;
}

std::string hex(Bytes bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (std::byte b : bytes) {
        out += digits[static_cast<unsigned>(b) >> 4];
        out += digits[static_cast<unsigned>(b) & 15];
    }
    return out;
}

std::string pointer(std::uint64_t address) {
    return address ? fmt::format("{:#x}", address) : "NULL";
}

std::string errno_name(std::int64_t result) {
    if (result >= 0 || result < -4095)
        return {};
    const char* name = strerrorname_np(static_cast<int>(-result));
    return name ? name : fmt::format("errno {}", -result);
}

std::string result_text(std::int64_t result) {
    if (result >= 0 || result < -4095)
        return fmt::format("{}", result);
    if (const char* restart = restart_name(-result))
        return fmt::format("? {}", restart);
    const char* description = strerrordesc_np(static_cast<int>(-result));
    return fmt::format("-1 {} ({})", errno_name(result), description ? description : "unknown");
}

std::string address_text(std::uint16_t family, const std::uint8_t address[16], std::uint16_t port) {
    char text[INET6_ADDRSTRLEN] = {};
    if (family != AF_INET && family != AF_INET6)
        return family_name(family);
    inet_ntop(family, address, text, sizeof text);
    return family == AF_INET ? fmt::format("{}:{}", text, port) : fmt::format("[{}]:{}", text, port);
}

std::string sockaddr_text(Bytes bytes) {
    const auto family = load<std::uint16_t>(bytes);
    if (!family)
        return "{...}";
    char text[INET6_ADDRSTRLEN] = {};
    if (const auto in = load<sockaddr_in>(bytes); *family == AF_INET && in) {
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        return fmt::format("{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
                           ntohs(in->sin_port), text);
    }
    if (const auto in = load<sockaddr_in6>(bytes); *family == AF_INET6 && in) {
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        return fmt::format("{{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl({}), "
                           "inet_pton(AF_INET6, \"{}\", &sin6_addr), sin6_scope_id={}}}",
                           ntohs(in->sin6_port), ntohl(in->sin6_flowinfo), text, in->sin6_scope_id);
    }
    return fmt::format("{{sa_family={}, sa_data={}}}", family_name(*family), quoted(bytes.subspan(2), 64));
}

std::string epoll_events_text(Bytes bytes, std::uint64_t count) {
    constexpr std::size_t event_bytes = 12; // packed on x86-64
    std::string out = "[";
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, bytes.size() / event_bytes); i++) {
        const Bytes event = bytes.subspan(i * event_bytes, event_bytes);
        const std::uint64_t data = *load<std::uint64_t>(event, 4);
        out += fmt::format("{}{{{}, {{u32={}, u64={}}}}}", i ? ", " : "",
                           flags_text(*load<std::uint32_t>(event), epoll_bits), static_cast<std::uint32_t>(data),
                           data);
    }
    return out + "]";
}

std::string pollfds_text(Bytes bytes) {
    std::string out = "[";
    for (std::size_t i = 0; i < bytes.size() / sizeof(pollfd); i++) {
        const auto p = *load<pollfd>(bytes, i * sizeof(pollfd));
        out += fmt::format("{}{{fd={}, events={}", i ? ", " : "", p.fd,
                           flags_text(static_cast<std::uint16_t>(p.events), poll_bits));
        if (p.revents)
            out += ", revents=" + flags_text(static_cast<std::uint16_t>(p.revents), poll_bits);
        out += "}";
    }
    return out + "]";
}

std::string time_text(Bytes bytes, const char* fraction) {
    const auto seconds = load<std::int64_t>(bytes);
    const auto part = load<std::int64_t>(bytes, 8);
    if (!seconds || !part)
        return "{...}";
    return fmt::format("{{tv_sec={}, {}={}}}", *seconds, fraction, *part);
}

std::string clock_name(std::uint64_t clock) {
    return one_of(clock, {{CLOCK_REALTIME, "CLOCK_REALTIME"},
                          {CLOCK_MONOTONIC, "CLOCK_MONOTONIC"},
                          {CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID"},
                          {CLOCK_THREAD_CPUTIME_ID, "CLOCK_THREAD_CPUTIME_ID"},
                          {CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW"},
                          {CLOCK_REALTIME_COARSE, "CLOCK_REALTIME_COARSE"},
                          {CLOCK_MONOTONIC_COARSE, "CLOCK_MONOTONIC_COARSE"},
                          {CLOCK_BOOTTIME, "CLOCK_BOOTTIME"}});
}

std::string family_name(std::uint64_t family) {
    return one_of(family, {{AF_UNSPEC, "AF_UNSPEC"},
                           {AF_UNIX, "AF_UNIX"},
                           {AF_INET, "AF_INET"},
                           {AF_INET6, "AF_INET6"},
                           {AF_NETLINK, "AF_NETLINK"},
                           {AF_PACKET, "AF_PACKET"}});
}

std::string socket_type_name(std::uint64_t type) {
    constexpr std::uint64_t flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    std::string out = one_of(type & ~flags, {{SOCK_STREAM, "SOCK_STREAM"},
                                             {SOCK_DGRAM, "SOCK_DGRAM"},
                                             {SOCK_RAW, "SOCK_RAW"},
                                             {SOCK_SEQPACKET, "SOCK_SEQPACKET"}});
    if (type & SOCK_CLOEXEC)
        out += "|SOCK_CLOEXEC";
    if (type & SOCK_NONBLOCK)
        out += "|SOCK_NONBLOCK";
    return out;
}

std::string shutdown_name(std::uint64_t how) {
    return one_of(how, {{SHUT_RD, "SHUT_RD"}, {SHUT_WR, "SHUT_WR"}, {SHUT_RDWR, "SHUT_RDWR"}});
}

std::string socket_level_name(std::uint64_t level) {
    return one_of(level, {{SOL_SOCKET, "SOL_SOCKET"},
                          {IPPROTO_IP, "SOL_IP"},
                          {IPPROTO_TCP, "SOL_TCP"},
                          {IPPROTO_UDP, "SOL_UDP"},
                          {IPPROTO_IPV6, "SOL_IPV6"}});
}

std::string socket_option_name(std::uint64_t level, std::uint64_t option) {
    if (level == SOL_SOCKET)
        return one_of(option, {{SO_ERROR, "SO_ERROR"},
                               {SO_TYPE, "SO_TYPE"},
                               {SO_REUSEADDR, "SO_REUSEADDR"},
                               {SO_REUSEPORT, "SO_REUSEPORT"},
                               {SO_KEEPALIVE, "SO_KEEPALIVE"},
                               {SO_SNDBUF, "SO_SNDBUF"},
                               {SO_RCVBUF, "SO_RCVBUF"},
                               {SO_LINGER, "SO_LINGER"},
                               {SO_ACCEPTCONN, "SO_ACCEPTCONN"},
                               {SO_PROTOCOL, "SO_PROTOCOL"},
                               {SO_DOMAIN, "SO_DOMAIN"},
                               {SO_PEERCRED, "SO_PEERCRED"},
                               {SO_INCOMING_CPU, "SO_INCOMING_CPU"}});
    if (level == IPPROTO_TCP)
        return one_of(option, {{TCP_NODELAY, "TCP_NODELAY"}, {TCP_MAXSEG, "TCP_MAXSEG"}, {TCP_INFO, "TCP_INFO"}});
    return one_of(option, {});
}

std::string tcp_state_name(std::uint16_t state) {
    return one_of(state, {{1, "ESTABLISHED"},
                          {2, "SYN_SENT"},
                          {3, "SYN_RECV"},
                          {4, "FIN_WAIT1"},
                          {5, "FIN_WAIT2"},
                          {6, "TIME_WAIT"},
                          {7, "CLOSE"},
                          {8, "CLOSE_WAIT"},
                          {9, "LAST_ACK"},
                          {10, "LISTEN"},
                          {11, "CLOSING"},
                          {12, "NEW_SYN_RECV"}});
}

} // namespace tripod::record
