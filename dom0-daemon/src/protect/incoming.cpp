// SPDX-License-Identifier: Apache-2.0
#include "protect/incoming.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "net/links.h"
#include "protect/protector.h"

namespace tripod::protect {

namespace {

using vm::Milliseconds;

constexpr Milliseconds hello_timeout{5'000};
constexpr Milliseconds send_timeout{30'000};
// A primary that says nothing for so long is gone, even if its connection still stands.
constexpr Milliseconds silence_max{300'000};
// Who connects and wants nothing makes room for others.
constexpr Milliseconds idle_max{30'000};
constexpr int restore_stall_ms = 60'000;

} // namespace

// Runs libxl's restore on a thread of its own, fed through a pipe.
class IncomingSession::Restore {
  public:
    static Result<std::unique_ptr<Restore>> begin(vm::Context& context, const vm::BackupVm& vm) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return fail(ErrorCode::other, std::string("cannot make a pipe: ") + std::strerror(errno));
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024);
        return std::unique_ptr<Restore>(new Restore(context, vm, UniqueFd(ends[0]), UniqueFd(ends[1])));
    }

    // A half-fed restore sees the end of its stream, fails, and removes what it built.
    ~Restore() {
        out_.reset();
        if (thread_.joinable())
            thread_.join();
        if (domid_ && !taken_ && toolstack_)
            if (auto gone = toolstack_->destroy(*domid_); !gone)
                log::error("{}", gone.error().what);
    }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

    Result<void> feed(std::span<const std::byte> piece) {
        while (!piece.empty()) {
            const ssize_t wrote = write(out_.get(), piece.data(), piece.size());
            if (wrote > 0) {
                piece = piece.subspan(static_cast<size_t>(wrote));
            } else if (wrote < 0 && errno == EAGAIN) {
                pollfd ready{out_.get(), POLLOUT, 0};
                if (poll(&ready, 1, restore_stall_ms) == 0)
                    return fail(ErrorCode::timed_out, "the restore takes no more data");
            } else if (errno != EINTR) {
                // It has ended before its stream did: its own error says more than ours.
                out_.reset();
                thread_.join();
                return result_ ? fail(ErrorCode::other, "the restore ended early") : result_;
            }
        }
        return {};
    }

    // The restored domain, paused. It is destroyed with this object until take() is called.
    Result<DomId> finish() {
        out_.reset();
        if (thread_.joinable())
            thread_.join();
        if (!result_)
            return tl::unexpected(result_.error());
        return *domid_;
    }
    void take() { taken_ = true; }
    xen::Toolstack& toolstack() { return *toolstack_; }

  private:
    Restore(vm::Context& context, const vm::BackupVm& vm, UniqueFd in, UniqueFd out) : out_(std::move(out)) {
        thread_ = std::thread([this, &context, &vm, fd = std::move(in)] {
            auto toolstack = context.open_toolstack();
            if (!toolstack) {
                result_ = tl::unexpected(toolstack.error());
                return;
            }
            toolstack_ = std::move(*toolstack);
            const auto domid =
                toolstack_->restore(vm.prepared().config_json, vm::BackupVm::incoming_name(vm.name()),
                                    context.config.isolated_bridge, fd.get());
            if (domid)
                domid_ = *domid;
            else
                result_ = tl::unexpected(vm::as_error(domid.error()));
        });
        pthread_setname_np(thread_.native_handle(), "restore");
    }

    UniqueFd out_;
    std::thread thread_;
    // Of the thread while it runs.
    std::unique_ptr<xen::Toolstack> toolstack_;
    std::optional<DomId> domid_;
    Result<void> result_;
    bool taken_ = false;
};

IncomingSession::IncomingSession(vm::Context& context, const IncomingRegistry& registry,
                                 peer::Connection& connection)
    : context_(context), registry_(registry), connection_(connection) {}

IncomingSession::~IncomingSession() {
    restore_.reset();
    if (vm_ && !vm_->confirmed()) {
        log::info("{}: given up by its primary", vm_->name());
        vm_->discard();
        registry_.dismiss(vm_);
    }
}

Result<void> IncomingSession::greet() {
    const auto frame = connection_.receive(hello_timeout);
    if (!frame)
        return tl::unexpected(frame.error());
    if (frame->type != wire::FrameType::peer_hello)
        return fail(ErrorCode::protocol, "no hello");
    const auto hello = peer::parse_hello(frame->text());
    if (!hello)
        return tl::unexpected(hello.error());
    connection_.rename(hello->host);
    // Both sides send what they are; whoever asks for something decides whether that will do.
    return connection_.send(wire::FrameType::peer_hello, 0, peer::to_json(make_hello(context_)), send_timeout);
}

void IncomingSession::run() {
    if (auto greeted = greet(); !greeted) {
        log::info("connection from {}: {}", connection_.remote_address(), greeted.error().message);
        return;
    }
    while (true) {
        const auto frame =
            connection_.receive(vm_ ? silence_max : idle_max, [this] { return context_.tasks.stopping(); });
        if (!frame) {
            if (frame.error().code == ErrorCode::protocol)
                log::info("connection from {}: {}", connection_.remote_address(), frame.error().message);
            return;
        }
        Result<void> done;
        using wire::FrameType;
        switch (frame->type) {
        case FrameType::peer_request:
            done = reply(frame->tag, handle_request(*frame));
            break;
        case FrameType::state_begin:
            if (done = begin_state(*frame); !done)
                reply(frame->tag, tl::unexpected(done.error()));
            break;
        case FrameType::state_chunk:
            if (done = take_chunk(*frame); !done)
                reply(frame->tag, tl::unexpected(done.error()));
            break;
        case FrameType::state_end:
            done = reply(frame->tag, end_state(*frame));
            break;
        case FrameType::peer_notice:
            if (const auto notice = peer::parse_diverged(frame->text()))
                registry_.diverged(*notice);
            else
                done = tl::unexpected(notice.error());
            break;
        default:
            done = fail(ErrorCode::protocol, "a frame that belongs elsewhere");
        }
        if (!done) {
            log::warning("{}: {}", connection_.name(), done.error().message);
            return;
        }
    }
}

// After an error there is nothing to go on with: it is told, and the session ends.
Result<void> IncomingSession::reply(uint64_t tag, const Result<std::string>& answer) {
    if (!answer) {
        [[maybe_unused]] const auto sent =
            connection_.send(wire::FrameType::peer_error, tag, peer::error_json(answer.error()), send_timeout);
        return tl::unexpected(answer.error());
    }
    return connection_.send(wire::FrameType::peer_reply, tag, *answer, send_timeout);
}

Result<std::string> IncomingSession::handle_request(const wire::Frame& frame) {
    const auto op = peer::parse_op(frame.text());
    if (!op)
        return tl::unexpected(op.error());
    if (*op == "prepare")
        return prepare(frame);
    if (*op == "start")
        return start(frame);
    if (*op == "confirm")
        return confirm();
    if (*op == "links") {
        if (!vm_)
            return fail(ErrorCode::protocol, "links before prepare");
        return peer::unreached_json(vm_->unreached());
    }
    if (*op == "hand_over") {
        const auto request = peer::parse_hand_over(frame.text());
        if (!request)
            return tl::unexpected(request.error());
        if (auto done = registry_.hand_over(*request); !done)
            return tl::unexpected(done.error());
        return std::string("{}");
    }
    if (*op == "whereabouts") {
        const auto question = peer::parse_whereabouts(frame.text());
        if (!question)
            return tl::unexpected(question.error());
        return peer::runs_here_json(registry_.runs_here(*question));
    }
    return fail(ErrorCode::protocol, "unknown request \"" + *op + "\"");
}

Result<std::string> IncomingSession::prepare(const wire::Frame& frame) {
    auto prepare = peer::parse_prepare(frame.text());
    if (!prepare)
        return tl::unexpected(prepare.error());
    if (vm_)
        return fail(ErrorCode::protocol, "a second prepare on one connection");
    if (auto fit = context_.fit(); !fit)
        return fail(ErrorCode::backup_refused, fit.error().message, fit.error().remedy);
    auto toolstack = context_.open_toolstack();
    if (!toolstack)
        return tl::unexpected(toolstack.error());
    const auto config = (*toolstack)->read_config(prepare->config_json);
    if (!config)
        return fail(ErrorCode::backup_refused, config.error().what);
    if (auto fit = replicable(*config); !fit)
        return fail(ErrorCode::backup_refused, fit.error().message, fit.error().remedy);
    // At a failover nobody may be there to make a bridge.
    for (const auto& vif : config->vifs) {
        const auto bridge = prepare->bridges.find(vif.devid);
        if (bridge == prepare->bridges.end())
            return fail(ErrorCode::protocol, "no bridge for vif " + std::to_string(vif.devid));
        if (auto there = net::check_bridge(bridge->second); !there)
            return fail(ErrorCode::backup_refused, there.error().message,
                        "make the bridge on that host, or name another one with --bridge");
    }
    auto vm = std::make_shared<vm::BackupVm>(context_, std::move(*prepare), registry_.tell_primary);
    if (auto opened = vm->open_group(context_.config.listen_address); !opened)
        return tl::unexpected(opened.error());
    if (auto admitted = registry_.admit(vm); !admitted)
        return tl::unexpected(admitted.error());
    vm_ = std::move(vm);
    // Only now: an older copy that can never take over may just have made room. What was made goes with this
    // session.
    for (const auto& name : {vm_->name(), vm::BackupVm::incoming_name(vm_->name())})
        if ((*toolstack)->find_name(name))
            return fail(ErrorCode::backup_refused, "there is a VM named " + name + " already",
                        "destroy or rename it there");
    return peer::to_json(peer::Prepared{vm_->rendezvous_port()});
}

Result<std::string> IncomingSession::start(const wire::Frame& frame) {
    const auto start = peer::parse_start(frame.text());
    if (!start)
        return tl::unexpected(start.error());
    if (!vm_)
        return fail(ErrorCode::protocol, "start before prepare");
    if (!vm_->members().empty())
        return fail(ErrorCode::protocol, "a second start");
    if (start->members.empty())
        return fail(ErrorCode::protocol, "a group without members");
    if (auto started = vm_->start(start->members, start->initial_leader); !started)
        return tl::unexpected(started.error());
    return std::string("{}");
}

Result<std::string> IncomingSession::confirm() {
    if (!vm_ || vm_->domid() == DomId{})
        return fail(ErrorCode::protocol, "confirm before the state");
    vm_->confirm();
    context_.events.add(vm_->name(), event::protected_);
    return std::string("{}");
}

Result<void> IncomingSession::begin_state(const wire::Frame&) {
    if (!vm_ || vm_->members().empty())
        return fail(ErrorCode::protocol, "a state stream before start");
    if (decoder_)
        return fail(ErrorCode::protocol, "a second state stream");
    auto restore = Restore::begin(context_, *vm_);
    if (!restore)
        return tl::unexpected(restore.error());
    restore_ = std::move(*restore);
    decoder_ = std::make_unique<peer::StateDecoder>();
    return {};
}

Result<void> IncomingSession::take_chunk(const wire::Frame& frame) {
    if (!restore_)
        return fail(ErrorCode::protocol, "a state chunk without a stream");
    const auto piece = decoder_->decode(frame.body);
    if (!piece)
        return tl::unexpected(piece.error());
    vm_->state_bytes += frame.body.size();
    ++vm_->state_chunks;
    return restore_->feed(*piece);
}

Result<std::string> IncomingSession::end_state(const wire::Frame& frame) {
    const auto end = peer::parse_state_end(frame.text());
    if (!end)
        return tl::unexpected(end.error());
    if (!restore_)
        return fail(ErrorCode::protocol, "the end of no state stream");
    if (auto whole = decoder_->finish(*end); !whole)
        return tl::unexpected(whole.error());
    const auto domid = restore_->finish();
    if (!domid)
        return tl::unexpected(domid.error());
    const auto follows = vm_->follow(restore_->toolstack(), *domid);
    // Unless the replica was discarded meanwhile, it is the one that destroys the domain from here on.
    if (vm_->domid() == *domid)
        restore_->take();
    if (!follows)
        return tl::unexpected(follows.error());
    restore_.reset();
    return std::string("{}");
}

} // namespace tripod::protect
