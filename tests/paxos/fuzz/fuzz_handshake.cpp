// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target for what a stranger can say to the rendezvous. An input is a small program: it plays a member
// who knows the key, and may at any moment change, cut, repeat or insert bytes. As long as it did not, it must be
// understood; from the first such byte on, nothing it says may be. `make fuzz-handshake`
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sodium.h>
#include <sys/socket.h>

#include "rendezvous/key_handshake.h"
#include "rendezvous/socket.h"

using namespace rdma_paxos;
using namespace std::chrono_literals;

namespace {

// A run must depend on its input alone.
std::uint64_t random_state = 0;
void deterministic_random(void* into, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
        static_cast<std::uint8_t*>(into)[i] = static_cast<std::uint8_t>(random_state >> 56);
    }
}
std::uint32_t deterministic_word() {
    std::uint32_t word = 0;
    deterministic_random(&word, sizeof word);
    return word;
}
const char* random_name() {
    return "deterministic";
}
randombytes_implementation not_random = {random_name, deterministic_word,   nullptr,
                                         nullptr,     deterministic_random, nullptr};

void require(bool good, const char* what) {
    if (good)
        return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

const ClusterKey key({std::byte{1}, std::byte{2}, std::byte{3}});
const GroupId group{0xa};
const ReplicaId one{1}, two{2};

struct Input {
    Bytes left;
    std::uint8_t byte() {
        if (left.empty())
            return 0;
        const auto value = static_cast<std::uint8_t>(left[0]);
        left = left.subspan(1);
        return value;
    }
    Bytes bytes(std::size_t count) {
        const Bytes taken = left.first(std::min(count, left.size()));
        left = left.subspan(taken.size());
        return taken;
    }
};

/// What is understood must not depend on how the bytes arrive.
std::pair<std::size_t, int> cut(Bytes bytes, std::size_t piece) {
    FrameReader reader;
    std::size_t frames = 0;
    while (!bytes.empty()) {
        require(reader.wanted() >= 1 && reader.wanted() <= frame_bytes_max, "asks for a frame's bytes at most");
        const Bytes part = bytes.first(std::min({piece, bytes.size(), reader.wanted()}));
        bytes = bytes.subspan(part.size());
        reader.add(part);
        const auto frame = reader.next();
        if (!frame)
            return {frames, static_cast<int>(frame.error())};
        if (*frame) {
            ++frames;
            (void)Acceptor::check_hello(key, **frame);
            if ((*frame)->header.type == FrameType::hello)
                (void)Acceptor::accept_hello(key, **frame);
            if ((*frame)->header.type == FrameType::refusal)
                (void)decode_refusal(**frame);
            Session session{Secret(), Secret()};
            require(!session.open(**frame), "opens what nobody sealed");
        }
    }
    return {frames, -1};
}

/// Someone who knows the key, at the other end of a connection that the hub has adopted.
class Member {
  public:
    explicit Member(TcpRendezvousHub& hub) : dialler_(key, group, one, two) {
        int pair[2];
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
        fd_ = OwnedFd(pair[0]);
        hub.adopt(pair[1], {});
    }

    const std::vector<std::byte>& hello() const { return dialler_.hello(); }

    /// Empty before the answer has come.
    std::vector<std::byte> confirm() {
        std::array<std::byte, frame_header_bytes + body_bytes(FrameType::answer)> bytes;
        std::size_t received = 0;
        receive_some(fd_.get(), bytes, received);
        FrameReader reader;
        reader.add(Bytes(bytes).first(received));
        const auto frame = reader.next();
        if (!frame || !*frame)
            return {};
        auto proved = dialler_.take_answer(**frame);
        if (!proved)
            return {};
        session_.emplace(proved->session);
        return proved->confirm;
    }

    /// Empty before confirm().
    std::vector<std::byte> offer(std::uint64_t incarnation) {
        RendezvousMessage message;
        message.incarnation = incarnation;
        return session_ ? session_->seal({FrameType::offer, group, one, two}, message) : std::vector<std::byte>{};
    }

    void say(Bytes bytes) {
        std::size_t sent = 0;
        send_some(fd_.get(), bytes, sent);
    }

  private:
    Dialler dialler_;
    OwnedFd fd_;
    std::optional<Session> session_;
};

void converse(Input input) {
    auto hub = TcpRendezvousHub::without_listener(key);
    auto rendezvous = std::move(*hub->join(group, two, {{one, {"127.0.0.1", 9}}}));
    Nanoseconds now = 1000s;
    hub->poll(now);
    Member member(*hub);
    std::vector<std::byte> previous;
    bool honest = true, said_hello = false;
    std::uint64_t honest_confirms = 0, honest_offers = 0;
    std::uint8_t change = 0, change_at = 0;
    for (int step = 0; step < 40 && !input.left.empty(); ++step) {
        std::vector<std::byte> next;
        const std::uint8_t what = input.byte();
        switch (what % 8) {
        case 0: {
            const Bytes raw = input.bytes(what);
            next.assign(raw.begin(), raw.end());
            honest &= next.empty();
            break;
        }
        case 1:
            next = member.hello();
            honest &= !said_hello;
            said_hello = true;
            break;
        case 2:
            next = member.confirm();
            break;
        case 3:
            next = member.offer(7);
            break;
        case 4:
            change = input.byte();
            change_at = input.byte();
            continue;
        case 5:
            now += 100ms * input.byte();
            break;
        case 6: // the beginning of it
            next = what & 64 ? member.hello() : previous;
            next.resize(next.empty() ? 0 : std::min<std::size_t>(next.size() - 1, input.byte()));
            honest &= next.empty();
            break;
        case 7:
            next = previous;
            honest &= next.empty();
            break;
        }
        if (change != 0 && !next.empty()) {
            next[change_at % next.size()] ^= std::byte{change};
            change = 0;
            honest = false;
        }
        honest_confirms += honest && what % 8 == 2 && !next.empty();
        honest_offers += honest && what % 8 == 3 && !next.empty();
        if (!next.empty()) {
            member.say(next);
            previous = next;
        }
        now += 1ms;
        hub->poll(now);
        hub->poll(now);
        const auto stats = hub->stats();
        require(stats.authenticated <= honest_confirms, "takes a stranger for a member");
        require(stats.messages <= honest_offers, "believes what was not said");
    }
    const auto stats = hub->stats();
    require(stats.rejected() <= 1, "one connection, one verdict");
    if (honest && stats.rejected() == 0) {
        require(stats.authenticated == honest_confirms, "does not know a member");
        require(stats.messages == honest_offers, "does not understand a member");
    }

    // Nobody else is harmed by it: a member that comes now is understood.
    Member other(*hub);
    other.say(other.hello());
    hub->poll(now);
    other.say(other.confirm());
    hub->poll(now);
    other.say(other.offer(9));
    std::uint64_t heard = 0;
    rendezvous->receive(now, [&](ReplicaId, const RendezvousMessage& message) { heard = message.incarnation; });
    require(heard == 9, "is deaf for the next one");
}

/// The dialler's side: an answer that was changed anywhere is none, nor is any other message.
void answer(Input input) {
    const Dialler dialler(key, group, one, two);
    FrameReader reader;
    reader.add(dialler.hello());
    const auto hello = reader.next();
    auto bytes = Acceptor::accept_hello(key, **hello)->answer();
    const auto good = bytes;
    while (!input.left.empty()) {
        const std::uint8_t at = input.byte();
        bytes[at % bytes.size()] = std::byte{input.byte()};
    }
    reader.add(bytes);
    const auto frame = reader.next();
    const bool taken = frame && *frame && dialler.take_answer(**frame);
    require(taken == (bytes == good), "takes what was not answered, or does not take what was");
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    randombytes_set_implementation(&not_random);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    random_state = 1;
    Input input{std::as_bytes(std::span(data, size))};
    const std::uint8_t kind = input.byte();
    if (kind % 4 == 0)
        require(cut(input.left, 1 + kind / 4) == cut(input.left, input.left.size() + 1), "depends on the cuts");
    else if (kind % 4 == 1)
        converse(input);
    else
        answer(input);
    return 0;
}
