// SPDX-License-Identifier: Apache-2.0
#include "record/format.h"

#include <ctime>
#include <iterator>

#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "record/format_values.h"
#include "record/syscall_names.h"

namespace tripod::record {

namespace {

// Stands for arguments after the third: the record does not hold them.
constexpr const char* unknown = "...";

// The arguments of one call, in strace's notation. What a failed call would have filled in is shown as its address.
class Arguments {
  public:
    Arguments(const RecordView& record, const FormatOptions& options)
        : record_(record), r_(record.header()), options_(options) {}

    std::string text() const {
        switch (r_.nr) {
        case SYS_read:
        case SYS_pread64:
        case SYS_recvfrom:
            return join({fd(0), buffer(1), unsigned_text(2), more(SYS_read)});
        case SYS_write:
        case SYS_sendto:
            return join({fd(0), sent(), unsigned_text(2), more(SYS_write)});
        case SYS_sendfile:
            return join({fd(0), fd(1), pointer(r_.arg[2]), unknown});
        case SYS_writev:
        case SYS_sendmsg:
            return join({fd(0), sent(), unsigned_text(2)});
        case SYS_readv:
            return join({fd(0), vector(1), unsigned_text(2)});
        case SYS_recvmsg:
            return join({fd(0), message(), fmt::format("{:#x}", r_.arg[2])});
        case SYS_close:
            return fd(0);
        case SYS_shutdown:
            return join({fd(0), shutdown_name(r_.arg[1])});
        case SYS_socket:
            return join({family_name(r_.arg[0]), socket_type_name(r_.arg[1]), unsigned_text(2)});
        case SYS_connect:
            return join({fd(0), pointer(r_.arg[1]), unsigned_text(2)});
        case SYS_accept:
        case SYS_accept4:
        case SYS_getpeername:
        case SYS_getsockname:
            return join({fd(0), address(1), length(2), r_.nr == SYS_accept4 ? unknown : ""});
        case SYS_getsockopt:
            return join({fd(0), socket_level_name(r_.arg[1]), socket_option_name(r_.arg[1], r_.arg[2]),
                         option_value(), length(4)});
        case SYS_epoll_wait:
        case SYS_epoll_pwait:
        case SYS_epoll_pwait2:
            return join({fd(0), events(), unsigned_text(2), unknown});
        case SYS_poll:
        case SYS_ppoll:
            return join({poll_set(), unsigned_text(1), r_.nr == SYS_poll ? signed_text(2) : unknown});
        case SYS_clock_gettime:
            return join({clock_name(r_.arg[0]), time(1, "tv_nsec")});
        case SYS_gettimeofday:
            return join({time(0, "tv_usec"), r_.arg[1] ? pointer(r_.arg[1]) : "NULL"});
        case SYS_time:
            return time_of_day();
        case SYS_getrandom:
            return join({buffer(0), unsigned_text(1), fmt::format("{:#x}", r_.arg[2])});
        default:
            return join({fmt::format("{:#x}", r_.arg[0]), fmt::format("{:#x}", r_.arg[1]),
                         fmt::format("{:#x}", r_.arg[2]), unknown});
        }
    }

    // True when the arguments show who was accepted.
    bool shows_address() const { return segment(1).has_value(); }

  private:
    static std::string join(std::initializer_list<std::string> parts) {
        std::string out;
        for (const std::string& part : parts)
            if (!part.empty())
                out += (out.empty() ? "" : ", ") + part;
        return out;
    }
    std::optional<SegmentView> segment(std::uint16_t arg) const { return record_.segment(TRIPOD_SEG_arg, arg); }
    std::string fd(unsigned arg) const { return fmt::format("{}", static_cast<std::int32_t>(r_.arg[arg])); }
    std::string unsigned_text(unsigned arg) const { return fmt::format("{}", r_.arg[arg]); }
    std::string signed_text(unsigned arg) const {
        return fmt::format("{}", static_cast<std::int32_t>(r_.arg[arg]));
    }
    std::string pointer_of(unsigned arg) const { return arg < std::size(r_.arg) ? pointer(r_.arg[arg]) : unknown; }
    // pread64, recvfrom and sendto have a fourth argument, read and write have none.
    std::string more(std::uint16_t without) const { return r_.nr == without ? "" : unknown; }

    std::string buffer(std::uint16_t arg) const {
        if (r_.result < 0)
            return pointer_of(arg);
        const auto s = segment(arg);
        return quoted(s ? s->bytes : Bytes{}, options_.string_max);
    }
    std::string vector(std::uint16_t arg) const {
        if (r_.result < 0)
            return pointer_of(arg);
        const auto s = record_.segment(TRIPOD_SEG_iov, arg);
        return "[" + quoted(s ? s->bytes : Bytes{}, options_.string_max) + "]";
    }
    std::string message() const {
        const auto header = record_.segment(TRIPOD_SEG_msghdr);
        if (r_.result < 0 || !header)
            return pointer_of(1);
        const auto name = record_.segment(TRIPOD_SEG_name);
        return fmt::format("{{msg_name={}, msg_namelen={}, msg_iov={}, msg_controllen={}, msg_flags={:#x}}}",
                           name ? sockaddr_text(name->bytes) : "NULL", header->msghdr()->namelen, vector(1),
                           header->msghdr()->controllen, header->msghdr()->flags);
    }
    // A failed output was not looked at.
    std::string sent() const {
        return r_.result < 0 ? pointer_of(1) : fmt::format("<{} bytes, xxh64 {:#018x}>", r_.length, r_.digest);
    }
    std::string address(std::uint16_t arg) const {
        const auto s = segment(arg);
        return s ? sockaddr_text(s->bytes) : pointer_of(arg);
    }
    std::string length(std::uint16_t arg) const {
        const auto s = segment(arg);
        const auto value = s ? load<std::uint32_t>(s->bytes) : std::nullopt;
        return value ? fmt::format("[{}]", *value) : pointer_of(arg);
    }
    std::string option_value() const {
        const auto s = segment(3);
        if (!s)
            return unknown;
        const auto value = load<std::int32_t>(s->bytes);
        return value && s->bytes.size() == 4 ? fmt::format("[{}]", *value) : quoted(s->bytes, options_.string_max);
    }
    std::string events() const {
        if (r_.result < 0)
            return pointer_of(1);
        const auto s = segment(1);
        return epoll_events_text(s ? s->bytes : Bytes{}, static_cast<std::uint64_t>(r_.result));
    }
    std::string poll_set() const {
        const auto s = segment(0);
        return s ? pollfds_text(s->bytes) : pointer_of(0);
    }
    std::string time(std::uint16_t arg, const char* fraction) const {
        const auto s = segment(arg);
        return s ? time_text(s->bytes, fraction) : pointer_of(arg);
    }
    std::string time_of_day() const {
        const auto s = segment(0);
        const auto value = s ? load<std::int64_t>(s->bytes) : std::nullopt;
        return value ? fmt::format("[{}]", *value) : pointer_of(0);
    }

    const RecordView& record_;
    const tripod_record& r_;
    const FormatOptions& options_;
};

std::string timestamp(const tripod_record& r, const FormatOptions& options) {
    constexpr std::int64_t second_ns = 1'000'000'000;
    // Unsigned: the sum of two numbers that nobody vouches for must not overflow.
    const auto now_ns =
        static_cast<std::int64_t>(r.time_ns + static_cast<std::uint64_t>(options.realtime_offset_ns));
    const std::int64_t seconds = now_ns / second_ns;
    const std::int64_t us = now_ns % second_ns / 1000;
    const std::time_t t = seconds;
    tm parts{};
    switch (options.timestamps) {
    case Timestamps::none:
        return {};
    case Timestamps::epoch_us:
        return fmt::format("{}.{:06} ", seconds, us < 0 ? -us : us);
    case Timestamps::clock:
    case Timestamps::clock_us:
        localtime_r(&t, &parts);
        return options.timestamps == Timestamps::clock
                   ? fmt::format("{:02}:{:02}:{:02} ", parts.tm_hour, parts.tm_min, parts.tm_sec)
                   : fmt::format("{:02}:{:02}:{:02}.{:06} ", parts.tm_hour, parts.tm_min, parts.tm_sec,
                                 us < 0 ? -us : us);
    }
    return {};
}

std::string socket_text(const tripod_socket& s) {
    return fmt::format("{} {} local {} remote {} {}", family_name(s.family), socket_type_name(s.type),
                       address_text(s.family, s.local_addr, s.local_port),
                       address_text(s.family, s.remote_addr, s.remote_port), tcp_state_name(s.state));
}

} // namespace

std::string format_record(const RecordView& record, const FormatOptions& options) {
    const tripod_record& r = record.header();
    const std::string head = fmt::format("[pid {}] {}", r.tid, timestamp(r, options));
    const auto socket_segment = record.segment(TRIPOD_SEG_socket);
    const auto socket = socket_segment ? socket_segment->socket() : std::nullopt;
    if (record.is_pad())
        return head + "+++ pad +++";
    if (r.type == TRIPOD_REC_socket)
        return head + fmt::format("+++ has socket {}: {} +++", r.fd, socket ? socket_text(*socket) : "?");

    const Arguments arguments(record, options);
    std::string line =
        fmt::format("{}{}({}) = {}", head, syscall_name(r.nr), arguments.text(), result_text(r.result));
    // The program did not ask who it was, the reader of the trace does.
    if (socket && !arguments.shows_address())
        line += fmt::format(" <from {}>", address_text(socket->family, socket->remote_addr, socket->remote_port));
    return line;
}

std::string format_record_json(const RecordView& record, const FormatOptions& options) {
    const tripod_record& r = record.header();
    static constexpr const char* class_names[] = {"native", "input",  "wait",   "value",  "accept",
                                                  "socket", "output", "mirror", "refused"};
    // By hand: nothing in it needs escapes, and a trace has many lines.
    std::string out;
    auto to = std::back_inserter(out);
    fmt::format_to(to, R"({{"seq":{},"time_ns":{},"realtime_ns":{},"tid":{},"tgid":{},"type":"{}")", r.seq,
                   r.time_ns,
                   static_cast<std::int64_t>(r.time_ns + static_cast<std::uint64_t>(options.realtime_offset_ns)),
                   r.tid, r.tgid, r.type == TRIPOD_REC_call ? "call" : "socket");
    if (r.type == TRIPOD_REC_call) {
        fmt::format_to(to, R"(,"nr":{},"name":"{}","class":"{}","args":["{:#x}","{:#x}","{:#x}"],"result":{})",
                       r.nr, syscall_name(r.nr),
                       r.call_class < std::size(class_names) ? class_names[r.call_class] : "unknown", r.arg[0],
                       r.arg[1], r.arg[2], r.result);
        if (const std::string error = errno_name(r.result); !error.empty())
            fmt::format_to(to, R"(,"errno":"{}")", error);
        if (r.call_class == TRIPOD_CLASS_output && r.result >= 0)
            fmt::format_to(to, R"(,"length":{},"digest":"{:#018x}")", r.length, r.digest);
    }
    fmt::format_to(to, R"(,"fd":{})", r.fd);
    if (const auto s = record.segment(TRIPOD_SEG_socket)) {
        const tripod_socket socket = *s->socket();
        fmt::format_to(to, R"(,"socket":{{"family":"{}","type":"{}","state":"{}","local":"{}","remote":"{}"}})",
                       family_name(socket.family), socket_type_name(socket.type), tcp_state_name(socket.state),
                       address_text(socket.family, socket.local_addr, socket.local_port),
                       address_text(socket.family, socket.remote_addr, socket.remote_port));
    }
    static constexpr const char* kinds[] = {"", "arg", "iov", "msghdr", "name", "control", "socket"};
    out += R"(,"segments":[)";
    bool first = true;
    for (const SegmentView s : record.segments()) {
        fmt::format_to(to, R"({}{{"kind":"{}","arg":{},"hex":"{}"}})", first ? "" : ",", kinds[s.kind], s.arg,
                       hex(s.bytes));
        first = false;
    }
    return out + "]}";
}

} // namespace tripod::record
