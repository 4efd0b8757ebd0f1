// SPDX-License-Identifier: Apache-2.0
#include "protect/backup_link.h"

namespace tripod::protect {

namespace {

constexpr Milliseconds answer_timeout{30'000};
constexpr Milliseconds send_timeout{30'000};
constexpr Milliseconds restore_timeout{300'000};

// Why `hello`, from a host that was called `host`, cannot be a backup of ours.
Result<void> check_hello(const peer::Hello& hello, const std::string& host) {
    const auto refused = [&](std::string why, std::string remedy) {
        return fail(ErrorCode::backup_refused, host + ": " + std::move(why), std::move(remedy));
    };
    constexpr const char* same_release = "install hypervisor and daemon of the same release on all hosts";
    if (hello.protocol != peer::protocol_version)
        return refused("its daemon speaks protocol version " + std::to_string(hello.protocol) + ", ours " +
                           std::to_string(peer::protocol_version),
                       same_release);
    if (hello.interface_version != TRIPOD_INTERFACE_VERSION)
        return refused("its daemon has interface version " + std::to_string(hello.interface_version) + ", ours " +
                           std::to_string(TRIPOD_INTERFACE_VERSION),
                       same_release);
    if (!hello.xen_interface_version)
        return refused("its Xen is not the patched one", "boot the hypervisor that \"make xen\" builds there");
    if (*hello.xen_interface_version != TRIPOD_INTERFACE_VERSION)
        return refused("its Xen has interface version " + std::to_string(*hello.xen_interface_version) + ", ours " +
                           std::to_string(TRIPOD_INTERFACE_VERSION),
                       same_release);
    if (!hello.refusal.empty())
        return refused(hello.refusal, {});
    return {};
}

} // namespace

Result<BackupLink> BackupLink::open(const std::string& host, const std::string& address, uint16_t port,
                                    const peer::Hello& own, Milliseconds timeout) {
    auto connection = peer::Connection::dial(address, port, host, timeout);
    if (!connection)
        return tl::unexpected(connection.error());
    if (auto sent = connection->send(wire::FrameType::peer_hello, 0, peer::to_json(own), timeout); !sent)
        return tl::unexpected(sent.error());
    auto frame = connection->receive(timeout);
    if (!frame) {
        // Whatever it is that listens there, it is no daemon we can use.
        Error error = frame.error();
        error.code = error.code == ErrorCode::protocol ? ErrorCode::backup_refused : ErrorCode::backup_unreachable;
        return tl::unexpected(std::move(error));
    }
    if (frame->type == wire::FrameType::peer_error)
        return tl::unexpected(peer::parse_error(frame->text(), host));
    auto hello = frame->type == wire::FrameType::peer_hello
                     ? peer::parse_hello(frame->text())
                     : fail(ErrorCode::protocol, "an answer without a hello");
    if (!hello)
        return fail(ErrorCode::backup_refused, host + ": " + hello.error().message);
    if (auto usable = check_hello(*hello, host); !usable)
        return tl::unexpected(usable.error());
    return BackupLink(std::move(*connection), std::move(*hello));
}

Result<wire::Frame> BackupLink::answer(uint64_t tag, Milliseconds timeout, Progress& progress) {
    auto frame = connection_.receive(timeout, [&] { return progress.cancelled(); });
    if (!frame)
        return frame;
    if (frame->tag != tag)
        return fail(ErrorCode::protocol, host() + " answers another question");
    if (frame->type == wire::FrameType::peer_error)
        return tl::unexpected(peer::parse_error(frame->text(), host()));
    if (frame->type != wire::FrameType::peer_reply)
        return fail(ErrorCode::protocol, host() + " does not answer");
    return frame;
}

Result<wire::Frame> BackupLink::ask(std::string_view body, Milliseconds timeout, Progress& progress) {
    const uint64_t tag = next_tag_++;
    if (auto sent = connection_.send(wire::FrameType::peer_request, tag, body, send_timeout); !sent)
        return tl::unexpected(sent.error());
    return answer(tag, timeout, progress);
}

Result<peer::Prepared> BackupLink::prepare(const peer::Prepare& prepare, Progress& progress) {
    auto frame = ask(peer::to_json(prepare), answer_timeout, progress);
    if (!frame)
        return tl::unexpected(frame.error());
    return peer::parse_prepared(frame->text());
}

Result<void> BackupLink::start(const peer::Start& start, Progress& progress) {
    if (auto frame = ask(peer::to_json(start), answer_timeout, progress); !frame)
        return tl::unexpected(frame.error());
    return {};
}

Result<void> BackupLink::begin_state() {
    state_tag_ = next_tag_++;
    return connection_.send(wire::FrameType::state_begin, state_tag_, "{\"codec\":\"lz4\"}", send_timeout);
}

Result<void> BackupLink::send_chunk(std::span<const std::byte> body) {
    return connection_.send(wire::FrameType::state_chunk, state_tag_, body, send_timeout);
}

Result<void> BackupLink::send_end(const peer::StateEnd& end) {
    return connection_.send(wire::FrameType::state_end, state_tag_, peer::to_json(end), send_timeout);
}

Result<void> BackupLink::restored(Progress& progress) {
    if (auto frame = answer(state_tag_, restore_timeout, progress); !frame)
        return tl::unexpected(frame.error());
    return {};
}

Result<void> BackupLink::confirm(Progress& progress) {
    if (auto frame = ask(peer::op_json("confirm"), answer_timeout, progress); !frame)
        return tl::unexpected(frame.error());
    return {};
}

Result<std::vector<std::string>> BackupLink::unreached(Progress& progress) {
    auto frame = ask(peer::op_json("links"), answer_timeout, progress);
    if (!frame)
        return tl::unexpected(frame.error());
    return peer::parse_unreached(frame->text());
}

Result<bool> BackupLink::runs_there(const peer::Whereabouts& question, Progress& progress) {
    auto frame = ask(peer::to_json(question), answer_timeout, progress);
    if (!frame)
        return tl::unexpected(frame.error());
    return peer::parse_runs_here(frame->text());
}

Result<void> BackupLink::hand_over(const peer::HandOver& request, Progress& progress) {
    if (auto frame = ask(peer::to_json(request), answer_timeout, progress); !frame)
        return tl::unexpected(frame.error());
    return {};
}

} // namespace tripod::protect
