// SPDX-License-Identifier: Apache-2.0
//
// hostile-client unix PATH | tcp ADDRESS PORT [SEED]
// What a daemon's open door may get from strangers: noise, cut frames, lengths that promise gigabytes, wrong
// checksums, well-formed frames that make no sense, bytes that drip, and many connections that say nothing. It
// judges nothing itself; it fails only if it cannot connect, which means that the daemon is gone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "wire/frame.h"

namespace {

using tripod::UniqueFd;
using tripod::wire::encode_frame;
using tripod::wire::FrameType;
using Bytes = std::vector<std::byte>;

// A 0 in place of a port: `host` is the path of a UNIX socket.
struct Door {
    std::string host;
    uint16_t port = 0;
};

UniqueFd open_door(const Door& door) {
    UniqueFd fd(socket(door.port != 0 ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in inet{};
    inet.sin_family = AF_INET;
    inet.sin_port = htons(door.port);
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    std::strncpy(local.sun_path, door.host.c_str(), sizeof local.sun_path - 1);
    if (door.port != 0)
        inet_pton(AF_INET, door.host.c_str(), &inet.sin_addr);
    const bool connected = door.port != 0
                               ? connect(fd.get(), reinterpret_cast<sockaddr*>(&inet), sizeof inet) == 0
                               : connect(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) == 0;
    if (!connected) {
        std::perror(("hostile-client: " + door.host).c_str());
        std::exit(1);
    }
    return fd;
}

// The daemon may hang up at any byte; that is its right.
void push(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes = bytes.subspan(static_cast<size_t>(sent));
    }
}

// Takes answers for a moment, so that a daemon that waits for us to read is not what is tested.
void listen_a_while(int fd, int ms) {
    char buffer[4096];
    pollfd ready{fd, POLLIN, 0};
    while (poll(&ready, 1, ms) > 0 && recv(fd, buffer, sizeof buffer, 0) > 0) {
    }
}

class Attacker {
  public:
    Attacker(Door door, uint64_t seed) : door_(std::move(door)), random_(seed) {}

    void run() {
        for (int n = 0; n < 12; ++n)
            once(noise(1U << (n + 2)));
        const Bytes sound = frame(0);
        for (size_t length : {size_t{1}, size_t{31}, size_t{32}, size_t{33}, sound.size() - 1})
            once({sound.begin(), sound.begin() + static_cast<ptrdiff_t>(std::min(length, sound.size()))});
        for (uint32_t length : {0U, 65537U, 0x7fffffffU, 0xffffffffU})
            once(with(sound, 8, length));
        once(with(sound, 0, 0x46505421U)); // magic
        once(with(sound, 4, 0x00ff00ffU)); // version and type
        once(with(sound, 24, 0U));         // checksum
        for (size_t n = 0; n < 24; ++n)
            once(frame(n));
        for (int n = 0; n < 64; ++n)
            once(damaged(frame(static_cast<size_t>(n))));
        drip(sound);
        crowd();
        std::printf("%d attacks on %s\n", attacks_, door_.host.c_str());
    }

  private:
    void once(const Bytes& bytes) {
        const UniqueFd fd = open_door(door_);
        push(fd.get(), bytes);
        listen_a_while(fd.get(), 5);
        ++attacks_;
    }

    Bytes noise(size_t size) {
        Bytes bytes(size);
        std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random_()); });
        return bytes;
    }

    // A frame that is whole, and means nothing good.
    Bytes frame(size_t n) {
        static const std::vector<std::string> bodies{
            "",
            "{",
            "[]",
            "null",
            "{}",
            std::string(60'000, '['),
            R"({"schema":1,"op":"protect","vm":"../../etc","backups":[]})",
            R"({"schema":1,"op":"trace","vm":"web1","count":-1,"net":7})",
            R"({"op":"confirm"})",
            R"({"op":"hand_over","vm":"web1","group":"00000000000000000000000000000000","replica":2})",
            R"({"schema":1,"op":"protect","vm":"web1","backups":["h2","h3","h2","h3","h2","h3","h2","h3"]})",
            R"({"op":"prepare","vm":"web1","ring_pages":4294967295,"log_bytes":18446744073709551615})",
            R"({"op":"start","members":[],"initial_leader":255})",
            R"({"vm":"web1","group":"00","host":"h2","detail":"x"})",
            "\xff\xfe\xc0\x80",
            R"({"schema":99,"op":"list"})",
            R"({"schema":1,"op":"status","vm":""})"};
        static const std::vector<FrameType> types{
            FrameType::request,     FrameType::peer_hello,  FrameType::peer_request, FrameType::peer_notice,
            FrameType::state_begin, FrameType::state_chunk, FrameType::state_end,    FrameType::result};
        Bytes bytes;
        // A peer is heard after a hello alone.
        if (door_.port != 0 && n % 3 != 0)
            bytes = encode_frame(
                FrameType::peer_hello, 0,
                R"({"protocol":1,"interface_version":1,"xen_interface_version":1,"host":"stranger","instance":"0","refusal":""})");
        const Bytes more =
            encode_frame(types[n % types.size()], random_(), bodies[(n * 7 + n / 8) % bodies.size()]);
        bytes.insert(bytes.end(), more.begin(), more.end());
        return bytes;
    }

    Bytes damaged(Bytes bytes) {
        for (int n = 0; n < 3; ++n)
            bytes[random_() % bytes.size()] ^= static_cast<std::byte>(1U << (random_() % 8));
        return bytes;
    }

    static Bytes with(Bytes bytes, size_t at, uint32_t value) {
        std::memcpy(bytes.data() + at, &value, sizeof value);
        return bytes;
    }

    void drip(const Bytes& bytes) {
        const UniqueFd fd = open_door(door_);
        for (size_t n = 0; n < std::min<size_t>(bytes.size(), 40); ++n) {
            push(fd.get(), std::span(bytes).subspan(n, 1));
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        ++attacks_;
    }

    void crowd() {
        std::vector<UniqueFd> many;
        for (int n = 0; n < 100; ++n)
            many.push_back(open_door(door_));
        std::this_thread::sleep_for(std::chrono::seconds(1));
        for (const auto& fd : many)
            push(fd.get(), noise(16));
        attacks_ += static_cast<int>(many.size());
    }

    Door door_;
    std::mt19937_64 random_;
    int attacks_ = 0;
};

} // namespace

int main(int argc, char** argv) {
    const std::string kind = argc > 1 ? argv[1] : "";
    const bool local = kind == "unix" && argc >= 3;
    if (!local && !(kind == "tcp" && argc >= 4)) {
        std::fprintf(stderr, "usage: hostile-client unix PATH | tcp ADDRESS PORT [SEED]\n");
        return 1;
    }
    const int seed_at = local ? 3 : 4;
    const uint64_t seed = argc > seed_at ? std::stoull(argv[seed_at]) : 1;
    Attacker({argv[2], local ? uint16_t{0} : static_cast<uint16_t>(std::stoi(argv[3]))}, seed).run();
    return 0;
}
