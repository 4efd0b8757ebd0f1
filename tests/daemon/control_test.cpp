// SPDX-License-Identifier: Apache-2.0
//
// Control server and client, end to end over a real socket, with a fake service behind.
#include "control/client.h"
#include "control/server.h"

#include <condition_variable>
#include <random>
#include <set>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "control/json.h"
#include "fake_service.h"
#include "record_builder.h"
#include "server_loop.h"
#include "temp_folder.h"

namespace tripod::control {
namespace {

using namespace std::chrono_literals;
using tripod::testing::FakeService;
using tripod::testing::RecordBuilder;
using tripod::testing::ServerLoop;
using tripod::testing::TempFolder;

class ControlTest : public ::testing::Test {
  protected:
    void start(ServerOptions options) { server = std::make_unique<ServerLoop>(path, service, options); }
    void stop() { server.reset(); }
    UniqueFd raw_connection() const {
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    template <typename Condition>
    static bool eventually(Condition condition) {
        for (const auto end = std::chrono::steady_clock::now() + 5s; std::chrono::steady_clock::now() < end;) {
            if (condition())
                return true;
            std::this_thread::sleep_for(1ms);
        }
        return false;
    }

    TempFolder folder;
    std::string path = folder.path + "/run/tripodd.sock";
    FakeService service;
    std::unique_ptr<ServerLoop> server = std::make_unique<ServerLoop>(path, service);
};

// A name that one side does not know would be read as another state.
TEST(StateNames, EveryStateHasOneAndComesBack) {
    std::set<std::string> names;
    for (int i = 0; i <= static_cast<int>(VmState::live); ++i) {
        VmStatus status;
        status.state = static_cast<VmState>(i);
        EXPECT_TRUE(names.insert(control::vm_state_name(status.state)).second) << i;
        EXPECT_EQ(control::vm_status_from(control::to_json(status)).state, status.state);
    }
    EXPECT_FALSE(names.contains("unknown"));
    names.clear();
    for (int i = 0; i <= static_cast<int>(ReplicaState::isolated); ++i) {
        VmStatus status;
        status.backups.emplace_back().state = static_cast<ReplicaState>(i);
        EXPECT_TRUE(names.insert(control::replica_state_name(status.backups[0].state)).second) << i;
        EXPECT_EQ(control::vm_status_from(control::to_json(status)).backups[0].state, status.backups[0].state);
    }
    EXPECT_FALSE(names.contains("unknown"));
}

TEST_F(ControlTest, RequestsReachTheServiceAndAnswersComeBackWhole) {
    auto result = call(path, ProtectRequest{"web1", {"h2", "h3"}, "/boot/vmlinux", "xenbr1"});
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(service.protects.size(), 1u);
    EXPECT_EQ(service.protects[0].vm, "web1");
    EXPECT_EQ(service.protects[0].backups, (std::vector<std::string>{"h2", "h3"}));
    EXPECT_EQ(service.protects[0].profile, "/boot/vmlinux");
    EXPECT_EQ(service.protects[0].bridge, "xenbr1");
    EXPECT_EQ(to_json(vm_status_from(*result)), to_json(tripod::testing::sample_status()));

    ASSERT_TRUE(call(path, FailoverRequest{"3", true}));
    EXPECT_EQ(service.failovers.at(0).vm, "3");
    EXPECT_TRUE(service.failovers[0].isolated);

    EXPECT_EQ((*call(path, ListRequest{}))["vms"].size(), 1u);
    EXPECT_EQ(info_from(*call(path, InfoRequest{})).xen_version, "4.17.5");
    EXPECT_TRUE(call(path, UnprotectRequest{"web1"}));
}

TEST_F(ControlTest, ErrorsArriveWithCodeMessageAndRemedy) {
    auto result = call(path, StatusRequest{"web9"});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::no_such_vm);
    EXPECT_EQ(result.error().message, "no VM named web9 on h1");
    EXPECT_EQ(result.error().remedy, "xl list shows the VMs of this host");
}

TEST_F(ControlTest, ProgressStreamsWhileOthersAreServed) {
    std::mutex mutex;
    std::condition_variable changed;
    bool release = false;
    service.on_protect = [&](const ProtectRequest&, Progress& progress) -> Result<VmStatus> {
        progress.say("half way");
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, 5s, [&] { return release; }));
        return tripod::testing::sample_status();
    };
    std::string seen;
    Handlers handlers;
    handlers.progress = [&](std::string_view line) {
        seen = line;
        // protect is still at work; another client must not wait for it.
        EXPECT_TRUE(call(path, ListRequest{}));
        const std::lock_guard lock(mutex);
        release = true;
        changed.notify_all();
    };
    EXPECT_TRUE(call(path, ProtectRequest{"web1", {"h2"}, {}, {}}, handlers));
    EXPECT_EQ(seen, "half way");
}

TEST_F(ControlTest, WorkSeesThatItsClientHasGone) {
    std::atomic<bool> begun{false}, saw{false};
    service.on_protect = [&](const ProtectRequest&, Progress& progress) -> Result<VmStatus> {
        begun = true;
        saw = eventually([&] { return progress.cancelled(); });
        return fail(ErrorCode::cancelled, "cancelled");
    };
    UniqueFd fd = raw_connection();
    const auto bytes =
        wire::encode_frame(wire::FrameType::request, 1, dump(to_json(Request(ProtectRequest{"a", {"b"}, {}, {}}))));
    ASSERT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ASSERT_TRUE(eventually([&] { return begun.load(); }));
    fd.reset();
    EXPECT_TRUE(eventually([&] { return saw.load(); }));
}

std::vector<std::byte> read_record(int fd, std::uint64_t seq) {
    RecordBuilder b(SYS_read, fd < 0 ? TRIPOD_CLASS_value : TRIPOD_CLASS_input, fd, 5);
    b.header.seq = seq;
    return b.segment(TRIPOD_SEG_arg, 1, "hello").build();
}

TEST_F(ControlTest, TraceIsFilteredAndEndsAtItsCount) {
    for (std::uint64_t seq = 0; seq < 30; seq++)
        service.trace_batches.push_back(read_record(seq % 3 == 0 ? -1 : static_cast<int>(7 + seq % 3), seq));
    service.trace_lasts = true;
    std::vector<std::byte> got;
    Handlers handlers;
    std::int64_t offset = 0;
    handlers.trace_start = [&](const TraceStart& s) { offset = s.realtime_offset_ns; };
    handlers.records = [&](std::span<const std::byte> r) { got.insert(got.end(), r.begin(), r.end()); };
    const std::size_t one = read_record(7, 0).size();

    ASSERT_TRUE(call(path, TraceRequest{"web1", {.fd = 8, .net = false, .count = 4}}, handlers));
    EXPECT_EQ(offset, 1000);
    ASSERT_EQ(got.size(), 4 * one);
    tripod_record last;
    std::memcpy(&last, got.data() + 3 * one, sizeof last);
    EXPECT_EQ(last.seq, 10u);
    EXPECT_EQ(last.fd, 8);

    got.clear();
    ASSERT_TRUE(call(path, TraceRequest{"web1", {.fd = {}, .net = true, .count = 20}}, handlers));
    EXPECT_EQ(got.size(), 20 * one);
}

TEST_F(ControlTest, ABrokenRecordEndsTheTraceWithAnError) {
    auto bad = read_record(7, 1);
    bad[0] = std::byte{3};
    service.trace_batches.push_back(bad);
    auto result = call(path, TraceRequest{"web1", {}});
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("records cannot be read"), std::string::npos);
}

TEST_F(ControlTest, TraceStopsWhenItsClientGoes) {
    service.trace_lasts = true;
    UniqueFd fd = raw_connection();
    const auto bytes =
        wire::encode_frame(wire::FrameType::request, 1, dump(to_json(Request(TraceRequest{"web1", {}}))));
    ASSERT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    char c;
    ASSERT_EQ(read(fd.get(), &c, 1), 1) << "trace_start must come";
    EXPECT_FALSE(service.trace_ended);
    fd.reset();
    EXPECT_TRUE(eventually([&] { return service.trace_ended.load(); }));
}

TEST_F(ControlTest, StopEndsATraceWithoutWaitingForTheClient) {
    service.trace_lasts = true;
    std::thread client([&] { EXPECT_FALSE(call(path, TraceRequest{"web1", {}}, {})); });
    ASSERT_TRUE(eventually([&] { return service.trace_begun.load(); }));
    stop();
    client.join();
    EXPECT_TRUE(service.trace_ended);
    EXPECT_NE(access(path.c_str(), F_OK), 0) << "the socket file must be gone";
}

TEST_F(ControlTest, MalformedBytesCloseOnlyTheirConnection) {
    const std::uint64_t seed = 7;
    std::mt19937_64 rng(seed);
    const std::string requests[] = {"not json",
                                    "[]",
                                    "{}",
                                    "{\"schema\":1,\"op\":\"fly\"}",
                                    "{\"schema\":1,\"op\":\"status\"}",
                                    "{\"schema\":1,\"op\":\"status\",\"vm\":7}",
                                    "{\"schema\":1,\"op\":\"list\",\"extra\":1}",
                                    "{\"schema\":2,\"op\":\"list\"}",
                                    "{\"schema\":1,\"op\":\"protect\",\"vm\":\"a\",\"backups\":[]}",
                                    "{\"schema\":1,\"op\":\"trace\",\"vm\":\"a\",\"count\":-1}",
                                    std::string(60000, '[')};
    UniqueFd bystander = raw_connection(); // connected before, asks after
    for (const std::string& text : requests) {
        UniqueFd fd = raw_connection();
        wire::FrameStream stream(std::move(fd), wire::Channel::local_reply);
        ASSERT_TRUE(stream.send(wire::FrameType::request, 9, text, 1s));
        auto answer = stream.receive(5s);
        ASSERT_TRUE(answer) << text.substr(0, 80) << ": " << answer.error().message;
        EXPECT_EQ(answer->type, wire::FrameType::error) << text.substr(0, 80);
        EXPECT_EQ(answer->tag, 9u);
        EXPECT_EQ(error_from(*parse_object(answer->text())).code, ErrorCode::protocol) << answer->text();
        auto end = stream.receive(5s);
        ASSERT_FALSE(end);
        EXPECT_EQ(end.error().fault, wire::StreamFault::closed);
    }
    for (int round = 0; round < 50; round++) {
        UniqueFd fd = raw_connection();
        std::string junk(32 + rng() % 500, '\0');
        for (char& c : junk)
            c = static_cast<char>(rng());
        ASSERT_EQ(write(fd.get(), junk.data(), junk.size()), static_cast<ssize_t>(junk.size())) << "seed " << seed;
        char buffer[4096];
        while (read(fd.get(), buffer, sizeof buffer) > 0) {
        }
    }
    wire::FrameStream stream(std::move(bystander), wire::Channel::local_reply);
    ASSERT_TRUE(stream.send(wire::FrameType::request, 1, dump(to_json(Request(ListRequest{}))), 1s));
    auto answer = stream.receive(5s);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->type, wire::FrameType::result);
    EXPECT_TRUE(service.protects.empty());
}

TEST_F(ControlTest, TheSocketIsForRootAlone) {
    struct stat file {};
    ASSERT_EQ(stat(path.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, 0600u);
}

TEST_F(ControlTest, ASecondDaemonIsRefusedAndALeftSocketReplaced) {
    auto second = ControlServer::open(path, service);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::not_now);
    EXPECT_TRUE(call(path, ListRequest{})) << "the first still serves";

    stop();
    { // what a daemon leaves that was killed: a socket file that nobody listens on
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    start({});
    EXPECT_TRUE(call(path, ListRequest{}));
}

TEST_F(ControlTest, TooManyClientsAreToldSo) {
    stop();
    start({.clients_max = 2});
    const UniqueFd a = raw_connection(), b = raw_connection();
    ASSERT_TRUE(eventually([&] {
        auto result = call(path, ListRequest{});
        return !result && result.error().code == ErrorCode::not_now;
    }));
}

TEST_F(ControlTest, AClientThatSendsNothingIsDropped) {
    stop();
    start({.request_timeout = 30ms});
    const UniqueFd fd = raw_connection();
    char c;
    EXPECT_EQ(read(fd.get(), &c, 1), 0);
}

TEST_F(ControlTest, NoDaemonIsAClearError) {
    stop();
    auto result = call(path, ListRequest{});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::daemon_not_running);
    EXPECT_EQ(result.error().remedy, "start tripodd on this host");
}

TEST_F(ControlTest, BytesThatAreNotUtf8DoNoHarm) {
    service.vms[0].name = "web\xff\xfe";
    ASSERT_TRUE(call(path, ListRequest{}));
    auto result = call(path, StatusRequest{"w\xff"});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::no_such_vm);
}

} // namespace
} // namespace tripod::control
