// SPDX-License-Identifier: Apache-2.0
#include "control/session.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "base/log.h"
#include "record/network.h"
#include "record/record_view.h"

namespace tripod::control {

namespace {

using wire::FrameStream;
using wire::FrameType;

constexpr std::size_t line_max = 4096;
constexpr std::size_t flush_bytes = 256 * 1024;

// What both kinds of streamed work need: sending until the client is lost.
class Reply {
  public:
    Reply(FrameStream& stream, std::uint64_t tag, const std::atomic<bool>& stopping,
          std::chrono::milliseconds timeout)
        : stream_(stream), tag_(tag), stopping_(stopping), timeout_(timeout) {}

    void send(FrameType type, std::span<const std::byte> body) {
        if (!lost_ && !stream_.send(type, tag_, body, timeout_))
            lost_ = true;
    }
    void send(FrameType type, const Json& json) {
        const std::string text = dump(json);
        send(type, std::as_bytes(std::span(text)));
    }
    void send_error(Error error) {
        error.message.resize(std::min(error.message.size(), line_max));
        error.remedy.resize(std::min(error.remedy.size(), line_max));
        send(FrameType::error, to_json(error));
    }
    void send_result(const Json& json) {
        const std::string text = dump(json);
        if (text.size() > wire::result_body_max)
            send_error(
                {ErrorCode::other, fmt::format("the answer has {} bytes, too many to send", text.size()), ""});
        else
            send(FrameType::result, std::as_bytes(std::span(text)));
    }
    bool stopping() const { return stopping_; }
    bool ended() { return lost_ || stopping_ || stream_.peer_gone(); }

  private:
    FrameStream& stream_;
    const std::uint64_t tag_;
    const std::atomic<bool>& stopping_;
    const std::chrono::milliseconds timeout_;
    bool lost_ = false;
};

class ReplyProgress : public Progress {
  public:
    explicit ReplyProgress(Reply& reply) : reply_(reply) {}
    void say(std::string_view line) override {
        reply_.send(FrameType::progress, Json{{"line", line.substr(0, line_max)}});
    }
    bool cancelled() override { return reply_.ended(); }

  private:
    Reply& reply_;
};

class ReplyTrace : public TraceSink {
  public:
    ReplyTrace(Reply& reply, TraceFilter filter) : reply_(reply), filter_(filter) {}

    void begin(const TraceStart& start) override { reply_.send(FrameType::trace_start, to_json(start)); }

    bool records(std::span<const std::byte> bytes) override {
        record::RecordReader reader(bytes);
        while (!complete()) {
            auto next = reader.next();
            if (!next) {
                fault_ = next.error().message;
                break;
            }
            if (!*next)
                break;
            if (wanted((*next)->header()))
                take((*next)->bytes());
        }
        flush();
        return !cancelled();
    }
    void dropped(std::uint64_t count) override { reply_.send(FrameType::trace_lost, Json{{"count", count}}); }
    bool cancelled() override { return complete() || !fault_.empty() || reply_.ended(); }

    bool complete() const { return filter_.count && taken_ >= filter_.count; }
    // Not empty: what is wrong with the records that came.
    const std::string& fault() const { return fault_; }

  private:
    bool wanted(const tripod_record& r) const {
        if (filter_.fd && r.fd != *filter_.fd)
            return false;
        return !filter_.net || record::on_network_socket(r);
    }
    void take(std::span<const std::byte> record) {
        taken_++;
        batch_.insert(batch_.end(), record.begin(), record.end());
        if (batch_.size() >= flush_bytes)
            flush();
    }
    void flush() {
        if (!batch_.empty())
            reply_.send(FrameType::records, std::span<const std::byte>(batch_));
        batch_.clear();
    }

    Reply& reply_;
    const TraceFilter filter_;
    std::uint64_t taken_ = 0;
    std::vector<std::byte> batch_; // below flush_bytes plus one record, well within the frame's limit
    std::string fault_;
};
static_assert(flush_bytes + record::record_bytes_max <= wire::records_body_max);

Json done() {
    return Json{{"schema", json_schema}};
}

struct Perform {
    Service& service;
    Reply& reply;

    Result<Json> operator()(const ProtectRequest& r) const {
        ReplyProgress progress(reply);
        return service.protect(r, progress).map([](const VmStatus& s) { return to_json(s); });
    }
    Result<Json> operator()(const UnprotectRequest& r) const {
        ReplyProgress progress(reply);
        return service.unprotect(r.vm, progress).map(done);
    }
    Result<Json> operator()(const ListRequest&) const { return service.list().map(list_to_json); }
    Result<Json> operator()(const StatusRequest& r) const {
        return service.status(r.vm).map([](const VmStatus& s) { return to_json(s); });
    }
    Result<Json> operator()(const FailoverRequest& r) const {
        ReplyProgress progress(reply);
        return service.failover(r, progress).map([](const VmStatus& s) { return to_json(s); });
    }
    Result<Json> operator()(const TraceRequest& r) const {
        ReplyTrace sink(reply, r.filter);
        const Result<void> result = service.trace(r.vm, sink);
        if (!sink.fault().empty())
            return fail(ErrorCode::other, "Xen's records cannot be read: " + sink.fault());
        if (!result && !sink.complete())
            return tl::unexpected<Error>(result.error());
        // Otherwise the reader would take what came for all that happened.
        if (!sink.complete() && reply.stopping())
            return fail(ErrorCode::cancelled, "the daemon is stopping, the trace ends here");
        return done();
    }
    Result<Json> operator()(const InfoRequest&) const {
        return service.info().map([](const InfoReply& i) { return to_json(i); });
    }
};

} // namespace

void run_session(FrameStream& stream, Service& service, const std::atomic<bool>& stopping, SessionTimes times) {
    auto frame = stream.receive(times.request);
    if (!frame) {
        const wire::StreamError& error = frame.error();
        if (error.fault != wire::StreamFault::closed)
            log::warning("local socket: {}; connection closed", error.message);
        // Worth an answer only where the other side seems to be a command, of another version perhaps.
        if (error.fault == wire::StreamFault::malformed) {
            Reply reply(stream, 0, stopping, times.send);
            reply.send_error({ErrorCode::protocol, "the daemon does not understand the request: " + error.message,
                              "command and daemon are of different versions: restart tripodd after an upgrade"});
        }
        return;
    }
    Reply reply(stream, frame->tag, stopping, times.send);
    const auto request = request_from(frame->text());
    if (!request)
        return reply.send_error(request.error());
    const Result<Json> result = std::visit(Perform{service, reply}, *request);
    if (result)
        reply.send_result(*result);
    else
        reply.send_error(result.error());
}

} // namespace tripod::control
