// SPDX-License-Identifier: Apache-2.0
//
// Runs in the guest: tries everything by which a program, or the kernel in its name, gets bytes out of the guest.
// One process for each way, started before protection; each opens what it needs, then waits for a datagram on its
// own port, and then goes its way ten times a second for some seconds. What it sends is numbered: "NAME N\n".
//
//   ways-out           starts them all
//   ways-out --list    prints a line for each: INDEX NAME CONNECTIONS. It waits for its datagram on port 9000 +
//   INDEX,
//                      sends its own to the client's port 9100 + INDEX, and first takes so many TCP connections on
//                      port 9200 + INDEX
//
// To the console: "WAY NAME armed", later "WAY NAME done", or what the kernel had against it. The outside client is
// tests/lab/ways-out/provoke.
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <linux/aio_abi.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr const char* client_address = "10.77.0.100";
constexpr const char* device = "eth0";
constexpr std::uint16_t go_port = 9000, datagram_port = 9100, listen_port = 9200, nobodys_port = 9999;
constexpr int ticks_per_way = 150;
constexpr timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};

sockaddr_in ipv4(const char* address, int port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, address, &result.sin_addr);
    return result;
}

template <class Address>
const sockaddr* generic(const Address& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

class Traveller {
  public:
    Traveller(const char* name, int index) : name_(name), index_(index), go_(socket(AF_INET, SOCK_DGRAM, 0)) {
        const auto here = ipv4("0.0.0.0", go_port + index);
        if (bind(go_, generic(here), sizeof here) != 0)
            give_up("bind");
    }

    const char* name() const { return name_; }
    int index() const { return index_; }
    std::string message(int n) const { return std::string(name_) + " " + std::to_string(n) + "\n"; }

    // A datagram socket that is connected to the client.
    int datagrams() const {
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        const auto client = ipv4(client_address, datagram_port + index_);
        if (connect(fd, generic(client), sizeof client) != 0)
            give_up("connect");
        return fd;
    }

    std::vector<int> accepted(int count) const {
        const int listener = socket(AF_INET, SOCK_STREAM, 0);
        const int yes = 1;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        const auto here = ipv4("0.0.0.0", listen_port + index_);
        if (bind(listener, generic(here), sizeof here) != 0 || listen(listener, count) != 0)
            give_up("listen");
        std::vector<int> result;
        while (static_cast<int>(result.size()) < count) {
            result.push_back(accept(listener, nullptr, nullptr));
            if (result.back() < 0)
                give_up("accept");
        }
        return result;
    }

    void say(const char* what) const { dprintf(STDOUT_FILENO, "WAY %s %s\n", name_, what); }

    void wait_for_go() const {
        say("armed");
        char byte = 0;
        if (recv(go_, &byte, 1, 0) < 0)
            give_up("recv");
    }

    // Calls step(0), step(1) ... at every tick. It returns what the system call did.
    void go(const std::function<long(int)>& step) const {
        for (int n = 0; n < ticks_per_way; ++n) {
            if (step(n) < 0 && n == 0)
                dprintf(STDOUT_FILENO, "WAY %s at first: %s\n", name_, std::strerror(errno));
            nanosleep(&tick, nullptr);
        }
    }

    [[noreturn]] void give_up(const char* what) const {
        dprintf(STDOUT_FILENO, "WAY %s impossible: %s: %s\n", name_, what, std::strerror(errno));
        _exit(1);
    }

  private:
    const char* name_;
    int index_;
    int go_;
};

using Way = void(const Traveller&);

// -- what any program does

void udp_sendto(const Traveller& traveller) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const auto client = ipv4(client_address, datagram_port + traveller.index());
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return sendto(fd, text.data(), text.size(), 0, generic(client), sizeof client);
    });
}

void udp_write(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return write(fd, text.data(), text.size());
    });
}

void udp_ipv6(const Traveller& traveller) {
    const int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    sockaddr_in6 everyone{};
    everyone.sin6_family = AF_INET6;
    everyone.sin6_port = htons(static_cast<std::uint16_t>(datagram_port + traveller.index()));
    everyone.sin6_scope_id = if_nametoindex(device);
    inet_pton(AF_INET6, "ff02::1", &everyone.sin6_addr);
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return sendto(fd, text.data(), text.size(), 0, generic(everyone), sizeof everyone);
    });
}

void tcp_write(const Traveller& traveller) {
    const int fd = traveller.accepted(1)[0];
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return write(fd, text.data(), text.size());
    });
}

void tcp_sendfile(const Traveller& traveller) {
    const int fd = traveller.accepted(1)[0];
    const int file = open("/tmp/sendfile", O_RDWR | O_CREAT | O_TRUNC, 0600);
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        off_t offset = n * 64L; // what was sent is still a page of the file
        if (pwrite(file, text.data(), text.size(), offset) < 0)
            return ssize_t{-1};
        return sendfile(fd, file, &offset, text.size());
    });
}

// A large write that waits for the client to read, since before protection. The rest of it is the kernel's to send.
void blocked_write(const Traveller& traveller) {
    const int fd = traveller.accepted(1)[0];
    traveller.say("armed");
    const std::vector<char> much(1 << 20, 'b');
    if (write(fd, much.data(), much.size()) < 0)
        traveller.give_up("write");
}

// -- what the kernel sends in a program's name

void connect_(const Traveller& traveller) {
    const auto client = ipv4(client_address, nobodys_port);
    traveller.wait_for_go();
    traveller.go([&](int) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        const int result = connect(fd, generic(client), sizeof client);
        close(fd);
        return result == 0 || errno == EINPROGRESS ? 0 : -1;
    });
}

constexpr int ended_connections = 4;

void end_connections(const Traveller& traveller, const std::function<int(int)>& end) {
    const auto connections = traveller.accepted(ended_connections);
    traveller.wait_for_go();
    traveller.go([&](int n) { return n % 30 == 0 && n / 30 < ended_connections ? end(connections[n / 30]) : 0; });
}

void close_(const Traveller& traveller) {
    end_connections(traveller, [](int fd) { return close(fd); });
}

void shutdown_(const Traveller& traveller) {
    end_connections(traveller, [](int fd) { return shutdown(fd, SHUT_WR); });
}

void reset(const Traveller& traveller) {
    end_connections(traveller, [](int fd) {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return close(fd);
    });
}

void exit_(const Traveller& traveller) {
    traveller.accepted(2);
    traveller.wait_for_go();
    _exit(0);
}

void keepalive(const Traveller& traveller) {
    const int fd = traveller.accepted(1)[0], yes = 1, second = 1, count = 100;
    traveller.wait_for_go();
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &second, sizeof second);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &second, sizeof second);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

void igmp(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    ip_mreqn group{};
    inet_pton(AF_INET, "239.7.7.7", &group.imr_multiaddr);
    group.imr_ifindex = static_cast<int>(if_nametoindex(device));
    traveller.wait_for_go();
    traveller.go([&](int n) {
        return setsockopt(fd, IPPROTO_IP, n % 2 == 0 ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &group,
                          sizeof group);
    });
}

// -- below UDP and TCP

void raw_icmp(const Traveller& traveller) {
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    const auto client = ipv4(client_address, 0);
    traveller.wait_for_go();
    traveller.go([&](int n) {
        icmphdr echo{};
        echo.type = ICMP_ECHO;
        echo.un.echo.id = htons(0x7777);
        echo.un.echo.sequence = htons(static_cast<std::uint16_t>(n));
        std::array<std::uint16_t, sizeof echo / 2> words{};
        std::memcpy(words.data(), &echo, sizeof echo);
        std::uint32_t sum = 0;
        for (const auto word : words)
            sum += word;
        echo.checksum = static_cast<std::uint16_t>(~(sum + (sum >> 16)));
        return sendto(fd, &echo, sizeof echo, 0, generic(client), sizeof client);
    });
}

sockaddr_ll broadcast(std::uint16_t protocol) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device));
    address.sll_halen = ETH_ALEN;
    std::memset(address.sll_addr, 0xff, ETH_ALEN);
    return address;
}

void packet(const Traveller& traveller) {
    constexpr std::uint16_t experimental = 0x88b5;
    const int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    const auto everyone = broadcast(experimental);
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return sendto(fd, text.data(), text.size(), 0, generic(everyone), sizeof everyone);
    });
}

void gratuitous_arp(const Traveller& traveller) {
    const int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    const auto everyone = broadcast(ETH_P_ARP);
    const std::array<std::uint8_t, 28> announcement{0,  1,    8,    0,    6, 4,          // Ethernet, IPv4
                                                    0,  1,                               // who has ...
                                                    0,  0x16, 0x3e, 0x77, 0, 0x50,       // the sender
                                                    10, 77,   0,    50,   0, 0,    0, 0, //
                                                    0,  0,    10,   77,   0, 50};
    traveller.wait_for_go();
    traveller.go([&](int) {
        return sendto(fd, announcement.data(), announcement.size(), 0, generic(everyone), sizeof everyone);
    });
}

// -- what few programs do; nobody can log these calls yet

void splice_(const Traveller& traveller) {
    const int fd = traveller.accepted(1)[0];
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0)
        traveller.give_up("pipe");
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        if (write(ends[1], text.data(), text.size()) < 0)
            return ssize_t{-1};
        return splice(ends[0], nullptr, fd, nullptr, text.size(), 0);
    });
}

void pwritev2_(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    traveller.go([&](int n) {
        auto text = traveller.message(n);
        const iovec part{.iov_base = text.data(), .iov_len = text.size()};
        return pwritev2(fd, &part, 1, -1, 0);
    });
}

void sendmmsg_(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    traveller.go([&](int n) {
        auto text = traveller.message(n);
        iovec part{.iov_base = text.data(), .iov_len = text.size()};
        mmsghdr message{};
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
        return sendmmsg(fd, &message, 1, 0);
    });
}

void aio(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 8, &context) != 0)
        traveller.give_up("io_setup");
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        iocb request{};
        request.aio_fildes = static_cast<std::uint32_t>(fd);
        request.aio_lio_opcode = IOCB_CMD_PWRITE;
        request.aio_buf = reinterpret_cast<std::uintptr_t>(text.data());
        request.aio_nbytes = text.size();
        iocb* requests = &request;
        const long result = syscall(SYS_io_submit, context, 1, &requests);
        io_event event{};
        syscall(SYS_io_getevents, context, 0, 1, &event, nullptr);
        return result;
    });
}

// One io_uring, by hand: a request at a time, and it is waited for.
class Ring {
  public:
    bool open() {
        fd_ = static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters_));
        if (fd_ < 0)
            return false;
        const auto map = [&](std::size_t size, off_t what) {
            return static_cast<char*>(
                mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, what));
        };
        submissions_ =
            map(parameters_.sq_off.array + parameters_.sq_entries * sizeof(std::uint32_t), IORING_OFF_SQ_RING);
        completions_ =
            map(parameters_.cq_off.cqes + parameters_.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
        entries_ =
            reinterpret_cast<io_uring_sqe*>(map(parameters_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
        return submissions_ != MAP_FAILED && completions_ != MAP_FAILED && entries_ != MAP_FAILED;
    }

    long send(int fd, const std::string& text) {
        auto& tail = word(submissions_, parameters_.sq_off.tail);
        const std::uint32_t slot = tail & word(submissions_, parameters_.sq_off.ring_mask);
        entries_[slot] = {};
        entries_[slot].opcode = IORING_OP_SEND;
        entries_[slot].fd = fd;
        entries_[slot].addr = reinterpret_cast<std::uintptr_t>(text.data());
        entries_[slot].len = static_cast<std::uint32_t>(text.size());
        (&word(submissions_, parameters_.sq_off.array))[slot] = slot;
        __atomic_store_n(&tail, tail + 1, __ATOMIC_RELEASE);
        const long result = syscall(SYS_io_uring_enter, fd_, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
        auto& head = word(completions_, parameters_.cq_off.head);
        __atomic_store_n(&head, __atomic_load_n(&word(completions_, parameters_.cq_off.tail), __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
        return result;
    }

  private:
    static std::uint32_t& word(char* base, std::uint32_t offset) {
        return *reinterpret_cast<std::uint32_t*>(base + offset);
    }

    int fd_ = -1;
    io_uring_params parameters_{};
    char *submissions_ = nullptr, *completions_ = nullptr;
    io_uring_sqe* entries_ = nullptr;
};

void uring_before(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    Ring ring;
    if (!ring.open())
        traveller.give_up("io_uring_setup");
    traveller.wait_for_go();
    traveller.go([&](int n) { return ring.send(fd, traveller.message(n)); });
}

void uring_after(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    Ring ring;
    if (!ring.open())
        traveller.give_up("io_uring_setup");
    traveller.go([&](int n) { return ring.send(fd, traveller.message(n)); });
}

// -- other doors to the same kernel

void x32(const Traveller& traveller) {
    constexpr long x32_bit = 0x40000000;
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    traveller.go([&](int n) {
        const auto text = traveller.message(n);
        return syscall(x32_bit | SYS_sendto, fd, text.data(), text.size(), 0, nullptr, 0);
    });
}

// The 32-bit door, from a 64-bit program.
void int80(const Traveller& traveller) {
    constexpr std::uint32_t nr_socketcall = 102, call_send = 9;
    const int fd = traveller.datagrams();
    auto* low = static_cast<std::uint32_t*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    if (low == MAP_FAILED)
        traveller.give_up("mmap");
    char* const text = reinterpret_cast<char*>(low + 16);
    traveller.wait_for_go();
    traveller.go([&](int n) -> long {
        const auto message = traveller.message(n);
        message.copy(text, message.size());
        const std::array arguments{static_cast<std::uint32_t>(fd),
                                   static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(text)),
                                   static_cast<std::uint32_t>(message.size()), 0U};
        std::memcpy(low, arguments.data(), sizeof arguments);
        std::int32_t result = 0;
        asm volatile("int $0x80"
                     : "=a"(result)
                     : "a"(nr_socketcall), "b"(call_send),
                       "c"(static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(low)))
                     : "memory", "r8", "r9", "r10", "r11");
        errno = result < 0 ? -result : 0;
        return result;
    });
}

// A 32-bit program takes the socket over: ways_out32.c. How it enters the kernel is its argument.
void become_32_bit(const Traveller& traveller) {
    const int fd = traveller.datagrams();
    traveller.wait_for_go();
    if (dup2(fd, 100) < 0)
        traveller.give_up("dup2");
    execl("/usr/bin/ways-out32", "ways-out32", traveller.name(), nullptr);
    traveller.give_up("execl");
}

struct Entry {
    const char* name;
    int connections;
    Way* way;
};

// The order is that of the indices.
constexpr std::array entries{
    Entry{"udp", 0, udp_sendto},
    Entry{"udp-write", 0, udp_write},
    Entry{"udp-ipv6", 0, udp_ipv6},
    Entry{"tcp-write", 1, tcp_write},
    Entry{"sendfile", 1, tcp_sendfile},
    Entry{"blocked-write", 1, blocked_write},
    Entry{"connect", 0, connect_},
    Entry{"close", ended_connections, close_},
    Entry{"shutdown", ended_connections, shutdown_},
    Entry{"reset", ended_connections, reset},
    Entry{"exit", 2, exit_},
    Entry{"keepalive", 1, keepalive},
    Entry{"igmp", 0, igmp},
    Entry{"raw-icmp", 0, raw_icmp},
    Entry{"packet", 0, packet},
    Entry{"arp", 0, gratuitous_arp},
    Entry{"uring-before", 0, uring_before},
    Entry{"uring-after", 0, uring_after},
    Entry{"aio", 0, aio},
    Entry{"splice", 1, splice_},
    Entry{"pwritev2", 0, pwritev2_},
    Entry{"x32", 0, x32},
    Entry{"sendmmsg", 0, sendmmsg_},
    Entry{"int80", 0, int80},
    Entry{"int80-32", 0, become_32_bit},
    Entry{"sysenter-32", 0, become_32_bit},
    Entry{"vsyscall-32", 0, become_32_bit},
};

} // namespace

int main(int argc, char** argv) {
    const bool list = argc == 2 && std::string_view(argv[1]) == "--list";
    for (int index = 0; index < static_cast<int>(entries.size()); ++index) {
        const Entry& entry = entries[static_cast<std::size_t>(index)];
        if (list) {
            std::printf("%d %s %d\n", index, entry.name, entry.connections);
        } else if (fork() == 0) {
            prctl(PR_SET_NAME, entry.name);
            const Traveller traveller(entry.name, index);
            entry.way(traveller);
            traveller.say("done");
            for (;;)
                pause(); // what it opened stays open
        }
    }
    return 0;
}
