// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "wire/frame_stream.h"

namespace tripod::control {

namespace {

using wire::FrameType;

Result<UniqueFd> connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorCode::other, fmt::format("\"{}\" cannot be the path of a socket", path));
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail(ErrorCode::other, fmt::format("cannot make a socket: {}", std::strerror(errno)));
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return fd;
    if (errno == EACCES || errno == EPERM)
        return fail(ErrorCode::permission, "not allowed to speak with the daemon at " + path, "run this as root");
    return fail(ErrorCode::daemon_not_running, fmt::format("no daemon at {}: {}", path, std::strerror(errno)),
                "start tripodd on this host");
}

} // namespace

Result<Json> call(const std::string& socket_path, const Request& request, const Handlers& handlers) {
    auto socket = connect_to(socket_path);
    if (!socket)
        return tl::unexpected<Error>(socket.error());
    const std::string body = dump(to_json(request));
    if (body.size() > wire::request_body_max)
        return fail(ErrorCode::other, "the request is too long");

    wire::FrameStream stream(std::move(*socket), wire::Channel::local_reply);
    // A daemon that has no room for more clients answers before it reads, and then closes: so a failed send does
    // not end this, its answer may be there to read.
    (void)stream.send(FrameType::request, 1, body, std::chrono::seconds(10));
    for (;;) {
        auto frame = stream.receive(std::nullopt);
        if (!frame)
            return frame.error().fault == wire::StreamFault::malformed
                       ? fail(ErrorCode::protocol, "the daemon's answer makes no sense: " + frame.error().message,
                              "command and daemon are of different versions: restart tripodd after an upgrade")
                       : fail(ErrorCode::daemon_not_running,
                              "the daemon ended before it answered (" + frame.error().message + ")",
                              "see its log: journalctl -u tripodd");
        if (frame->type == FrameType::records) {
            if (handlers.records)
                handlers.records(frame->body);
            continue;
        }
        auto json = parse_object(frame->text());
        if (!json)
            return fail(ErrorCode::protocol, "the daemon's answer is no JSON object");
        switch (frame->type) {
        case FrameType::result:
            return std::move(*json);
        case FrameType::error:
            return tl::unexpected<Error>(error_from(*json));
        case FrameType::progress:
            if (handlers.progress)
                handlers.progress(text_or(*json, "line"));
            break;
        case FrameType::trace_start:
            if (handlers.trace_start)
                handlers.trace_start(trace_start_from(*json));
            break;
        case FrameType::trace_lost:
            if (handlers.trace_lost)
                handlers.trace_lost(number_or<std::uint64_t>(*json, "count", 0));
            break;
        default: // the decoder lets no other type through
            break;
        }
    }
}

} // namespace tripod::control
