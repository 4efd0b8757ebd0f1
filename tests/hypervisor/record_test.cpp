// SPDX-License-Identifier: GPL-2.0-only
/** Modes record and trace: what the log says of each call. Each row of the table has its test here or by its name.
 */
#include "fixture.h"

#include <map>
#include <xxhash.h>

namespace tripod::test {
namespace {

class RecordTest : public HypervisorTest {
  protected:
    RecordTest() { follow(TRIPOD_MODE_trace); }

    /** Makes a call and returns its record; the guest's argument registers must come out as they went in. */
    Record log(unsigned nr, std::array<std::uint64_t, 6> args, const Native& perform) {
        guest.make(thread, nr, args, perform);
        const cpu_user_regs& r = thread.regs;
        const std::array<std::uint64_t, 6> after = {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9};
        EXPECT_EQ(after, args) << "call " << nr;
        EXPECT_EQ(r.rip, FakeGuest::syscall_site + 2);
        EXPECT_EQ(guest->pending_count, 0U);
        auto records = guest.take();
        EXPECT_EQ(records.size(), 1U) << "call " << nr;
        if (records.empty())
            return Record::call(0, thread, nr, 0);
        const tripod_record head = records[0].head();
        EXPECT_EQ(head.nr, nr);
        EXPECT_EQ(head.tid, thread.tid);
        EXPECT_EQ(head.tgid, process.tgid);
        EXPECT_EQ(head.result, static_cast<std::int64_t>(r.rax));
        EXPECT_TRUE(std::equal(head.arg, head.arg + 3, args.begin()));
        EXPECT_GT(head.time_ns, 0U);
        return records[0];
    }
    void expect_unlogged(unsigned nr, std::array<std::uint64_t, 6> args) {
        EXPECT_EQ(guest.make(thread, nr, args, returning(0)), Step::native);
        EXPECT_TRUE(guest.take().empty()) << "call " << nr;
        EXPECT_EQ(guest->pending_count, 0U);
    }
    /** Fills memory with a pattern, as the guest kernel would. */
    void pattern(Va at, std::uint64_t bytes) {
        for (std::uint64_t i = 0; i < bytes; ++i)
            guest.user.put(at + i, static_cast<std::uint8_t>(i * 7 + 1));
    }
    Va iovec(std::initializer_list<std::pair<Va, std::uint64_t>> parts) {
        const Va at = guest.allocate(parts.size() * 16);
        Va next = at;
        for (const auto& [base, length] : parts) {
            guest.user.put(next, base);
            guest.user.put(next + 8, length);
            next += 16;
        }
        return at;
    }
    /** An unconnected address buffer of `capacity` and its length; the kernel's part is socket_name(). */
    struct Name {
        Va at, length;
    };
    Name name_buffer(std::uint32_t capacity) {
        return {guest.allocate(std::max(capacity, 1U)), guest.allocate_with(capacity)};
    }
    void socket_name(const Name& name, std::uint32_t full = 16) {
        const auto capacity = guest.user.get<std::uint32_t>(name.length);
        pattern(name.at, std::min(capacity, full));
        guest.user.put(name.length, full);
    }
    const Va buffer = guest.allocate(0x20000);
    const std::uint64_t s = fd(sock);
};

/** The calls whose out-arguments have a fixed place and size: number, arguments as a function, {argument, bytes}...
 */
struct Row {
    const char* name;
    unsigned nr, call_class;
    std::array<std::uint64_t, 6> args; // a value of 1'000'000 + n means: the buffer, n pages on
    std::int64_t result;
    std::vector<std::pair<unsigned, std::uint64_t>> outs;
};
constexpr std::uint64_t P = 1'000'000;

class TableTest : public RecordTest, public testing::WithParamInterface<Row> {
  protected:
    [[nodiscard]] std::array<std::uint64_t, 6> arguments(Row row) const {
        for (std::uint64_t& arg : row.args)
            if (arg >= P && arg < P + 16)
                arg = buffer + (arg - P) * PAGE_SIZE;
        if (const auto* call = tripod_call(row.nr); call->fd_arg >= 0)
            row.args.at(static_cast<std::size_t>(int{call->fd_arg})) = s;
        return row.args;
    }
};

TEST_P(TableTest, LogsWhatTheKernelWrote) {
    const Row& row = GetParam();
    const auto args = arguments(row);
    const Record record = log(row.nr, args, [&](cpu_user_regs&) {
        for (const auto& [arg, bytes] : row.outs)
            pattern(args[arg], bytes);
        return row.result;
    });
    EXPECT_EQ(record.head().call_class, row.call_class);
    EXPECT_EQ(record.head().fd, tripod_call(row.nr)->fd_arg >= 0 ? sock : -1);
    const auto segments = record.segments();
    ASSERT_EQ(segments.size(), row.outs.size());
    for (std::size_t i = 0; i < segments.size(); ++i) {
        EXPECT_EQ(segments[i].kind, TRIPOD_SEG_arg);
        EXPECT_EQ(segments[i].arg, row.outs[i].first);
        EXPECT_EQ(segments[i].bytes, guest.user.bytes(args[row.outs[i].first], row.outs[i].second));
        EXPECT_EQ(segments[i].bytes.size(), row.outs[i].second);
    }
}

TEST_P(TableTest, LogsAnErrorWithoutBytes) {
    const Record record = log(GetParam().nr, arguments(GetParam()), returning(e_intr));
    EXPECT_EQ(record.head().result, e_intr);
    EXPECT_TRUE(record.segments().empty());
    EXPECT_EQ(record.head().length, 0U);
}

TEST_P(TableTest, SkipsNullPointers) {
    Row row = GetParam();
    for (const auto& [arg, bytes] : row.outs)
        row.args[arg] = 0;
    EXPECT_TRUE(log(row.nr, arguments(row), returning(row.result)).segments().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Calls, TableTest,
    testing::Values(
        Row{"read", 0, TRIPOD_CLASS_input, {0, P, 100}, 41, {{1, 41}}},
        Row{"read_to_the_full", 0, TRIPOD_CLASS_input, {0, P, 100}, 100, {{1, 100}}},
        Row{"read_end", 0, TRIPOD_CLASS_input, {0, P, 100}, 0, {}},
        Row{"close", 3, TRIPOD_CLASS_mirror, {0}, 0, {}},
        Row{"poll", 7, TRIPOD_CLASS_wait, {P, 3, 1000}, 1, {{0, 24}}},
        Row{"poll_none", 7, TRIPOD_CLASS_wait, {P, 0, 1000}, 0, {}},
        Row{"select", 23, TRIPOD_CLASS_wait, {65, P, P + 1, P + 2, P + 3}, 2, {{1, 16}, {2, 16}, {3, 16}, {4, 16}}},
        Row{"select_none", 23, TRIPOD_CLASS_wait, {0, P, P + 1, P + 2, P + 3}, 0, {{4, 16}}},
        Row{"connect", 42, TRIPOD_CLASS_socket, {0, P, 16}, 0, {}},
        Row{"recv", 45, TRIPOD_CLASS_input, {0, P, 100, 0, 0, 0}, 7, {{1, 7}}},
        Row{"shutdown", 48, TRIPOD_CLASS_socket, {0, 1}, 0, {}},
        Row{"wait4", 61, TRIPOD_CLASS_value, {1, P, 1, P + 1}, 77, {{1, 4}, {3, 144}}},
        Row{"wait4_none", 61, TRIPOD_CLASS_value, {1, P, 1, P + 1}, 0, {}},
        Row{"gettimeofday", 96, TRIPOD_CLASS_value, {P, P + 1}, 0, {{0, 16}, {1, 8}}},
        Row{"getrusage", 98, TRIPOD_CLASS_value, {0, P}, 0, {{1, 144}}},
        Row{"sysinfo", 99, TRIPOD_CLASS_value, {P}, 0, {{0, 112}}},
        Row{"times", 100, TRIPOD_CLASS_value, {P}, 12345, {{0, 32}}},
        Row{"time", 201, TRIPOD_CLASS_value, {P}, 1700000000, {{0, 8}}},
        Row{"clock_gettime", 228, TRIPOD_CLASS_value, {1, P}, 0, {{1, 16}}},
        Row{"epoll_wait", 232, TRIPOD_CLASS_wait, {5, P, 10, 100}, 3, {{1, 36}}},
        Row{"epoll_pwait", 281, TRIPOD_CLASS_wait, {5, P, 10, 100}, 2, {{1, 24}}},
        Row{"epoll_pwait2", 441, TRIPOD_CLASS_wait, {5, P, 10, 0}, 1, {{1, 12}}},
        Row{"pselect6", 270, TRIPOD_CLASS_wait, {64, P, P + 1, P + 2, P + 3}, 1, {{1, 8}, {2, 8}, {3, 8}, {4, 16}}},
        Row{"ppoll", 271, TRIPOD_CLASS_wait, {P, 2, P + 1}, 1, {{0, 16}, {2, 16}}},
        Row{"getrandom", 318, TRIPOD_CLASS_value, {P, 16}, 16, {{0, 16}}},
        Row{"sendfile", 40, TRIPOD_CLASS_output, {0, 9, P, 500}, 500, {{2, 8}}}),
    [](const testing::TestParamInfo<Row>& row) { return std::string(row.param.name); });

TEST_F(RecordTest, EveryRowHasATest) {
    // Those of the table above, and those with a test of their own below.
    const std::map<unsigned, bool> tested = {
        {0, true},   {1, true},   {3, true},   {7, true},   {17, true},  {19, true},  {20, true},  {23, true},
        {40, true},  {41, true},  {42, true},  {43, true},  {44, true},  {45, true},  {46, true},  {47, true},
        {48, true},  {51, true},  {52, true},  {55, true},  {60, true},  {61, true},  {96, true},  {98, true},
        {99, true},  {100, true}, {201, true}, {209, true}, {228, true}, {231, true}, {232, true}, {270, true},
        {271, true}, {275, true}, {276, true}, {278, true}, {281, true}, {288, true}, {299, true}, {307, true},
        {318, true}, {327, true}, {328, true}, {425, true}, {426, true}, {427, true}, {441, true}};
    for (unsigned nr = 0; nr < 1000; ++nr)
        EXPECT_EQ(tripod_call(nr) != nullptr, tested.contains(nr)) << "call " << nr;
    EXPECT_EQ(tripod_call(0xffffffff), nullptr);
}

TEST_F(RecordTest, LengthsAreCutToTheLargestPayload) {
    std::uint64_t given = 0;
    const Native take_length = [&](cpu_user_regs& regs) {
        given = regs.rdx;
        return std::int64_t{0};
    };
    log(nr_read, {s, buffer, UINT64_MAX}, take_length);
    EXPECT_EQ(given, TRIPOD_PAYLOAD_MAX);
    log(nr_recvfrom, {s, buffer, 1U << 20, 0, 0, 0}, take_length);
    EXPECT_EQ(given, TRIPOD_PAYLOAD_MAX);
    log(nr_read, {s, buffer, TRIPOD_PAYLOAD_MAX}, take_length);
    EXPECT_EQ(given, TRIPOD_PAYLOAD_MAX);
    log(nr_epoll_wait, {5, buffer, 100000, 0}, take_length);
    EXPECT_EQ(given, TRIPOD_PAYLOAD_MAX / 12);
    const Record record = log(nr_getrandom, {buffer, 1U << 20, 0}, [&](cpu_user_regs& regs) {
        pattern(buffer, regs.rsi);
        return static_cast<std::int64_t>(regs.rsi);
    });
    EXPECT_EQ(record.segments().at(0).bytes.size(), TRIPOD_PAYLOAD_MAX);
    EXPECT_EQ(record.segments().at(0).bytes, guest.user.bytes(buffer, TRIPOD_PAYLOAD_MAX));
}

TEST_F(RecordTest, NegativeCountOfEventsStaysAnError) {
    std::uint64_t given = 0;
    log(nr_epoll_wait, {5, buffer, 0xffffffff, 0}, [&](cpu_user_regs& regs) {
        given = regs.rdx;
        return e_inval;
    });
    EXPECT_LT(static_cast<std::int32_t>(given), 0);
}

TEST_F(RecordTest, CountOfEventsIsAnIntWhateverTheUpperHalfHolds) {
    // The ABI leaves the upper half of an int argument undefined.
    std::uint64_t given = 0;
    log(nr_epoll_wait, {5, buffer, 0xdead00000005, 0}, [&](cpu_user_regs& regs) {
        given = regs.rdx;
        return std::int64_t{0};
    });
    EXPECT_EQ(static_cast<std::uint32_t>(given), 5U);
    log(nr_epoll_wait, {5, buffer, 0xdead7fffffff, 0}, [&](cpu_user_regs& regs) {
        given = regs.rdx;
        return std::int64_t{0};
    });
    EXPECT_EQ(static_cast<std::uint32_t>(given), TRIPOD_PAYLOAD_MAX / 12);
}

TEST_F(RecordTest, CountOfPolledDescriptorsIsAnIntToo) {
    const Record record = log(nr_poll, {buffer, 0xdead00000002, 0}, returning(1));
    EXPECT_EQ(record.segments().at(0).bytes.size(), 16U);
}

TEST_F(RecordTest, DescriptorsBeyondTheTableAreNone) {
    guest.kernel.memory.put(process.array + process.max_fds * 8, guest.kernel.file(process, sock)); // left behind
    expect_unlogged(nr_read, {process.max_fds, buffer, 10});
}

TEST_F(RecordTest, ReadvIsLoggedAcrossItsBuffers) {
    const Va iov = iovec({{buffer, 3}, {0, 0}, {buffer + 0x1ffd, 5}, {buffer + 0x5000, 100}});
    const Record record = log(nr_readv, {s, iov, 4}, [&](cpu_user_regs&) {
        guest.user.poke(buffer, "abc", 3);
        guest.user.poke(buffer + 0x1ffd, "defgh", 5);
        guest.user.poke(buffer + 0x5000, "ij", 2);
        return std::int64_t{10};
    });
    ASSERT_EQ(record.segments().size(), 1U);
    EXPECT_EQ(record.segments()[0].kind, TRIPOD_SEG_iov);
    EXPECT_EQ(text(record.segments()[0]), "abcdefghij");
}

TEST_F(RecordTest, VectorReadBeyondTheLargestPayloadEndsTheProtection) {
    // What a record of ours may hold, a backup must be able to apply: so not one byte more.
    const Va iov = iovec({{buffer, 0x20000}});
    const Record record = log(nr_readv, {s, iov, 1}, returning(TRIPOD_PAYLOAD_MAX));
    EXPECT_EQ(record.segments().at(0).bytes.size(), TRIPOD_PAYLOAD_MAX);
    EXPECT_EQ(guest.make(thread, nr_readv, {s, iov, 1}, returning(TRIPOD_PAYLOAD_MAX + 1)), Step::native);
    EXPECT_EQ(thread.regs.rax, TRIPOD_PAYLOAD_MAX + 1);
    EXPECT_TRUE(guest.take().empty());
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_guest);
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_too_large);
    EXPECT_EQ(guest->mode, TRIPOD_MODE_off);
}

TEST_F(RecordTest, AcceptWithAndWithoutAddress) {
    for (const unsigned nr : {nr_accept, nr_accept4}) {
        const Name name = name_buffer(28);
        const Socket peer{.remote_port = 50123};
        int accepted = -1;
        const Native perform = [&](cpu_user_regs& regs) {
            if (regs.rsi != 0)
                socket_name(name);
            accepted = guest.kernel.open_socket(process, peer);
            return std::int64_t{accepted};
        };
        const Record with = log(nr, {s, name.at, name.length, 0x80000}, perform);
        EXPECT_EQ(with.head().call_class, TRIPOD_CLASS_accept);
        EXPECT_EQ(with.head().result, accepted);
        const auto segments = with.segments();
        ASSERT_EQ(segments.size(), 3U);
        EXPECT_EQ(segments[0].arg, 1);
        EXPECT_EQ(segments[0].bytes, guest.user.bytes(name.at, 16));
        EXPECT_EQ(segments[1].arg, 2);
        EXPECT_EQ(segments[1].bytes, guest.user.bytes(name.length, 4));
        EXPECT_EQ(segments[2].kind, TRIPOD_SEG_socket);
        tripod_socket end;
        std::memcpy(&end, segments[2].bytes.data(), sizeof end);
        EXPECT_EQ(end.family, 2);
        EXPECT_EQ(end.type, 1);
        EXPECT_EQ(end.local_port, 6379);
        EXPECT_EQ(end.remote_port, 50123);
        EXPECT_EQ(std::memcmp(end.remote_addr, &peer.remote, 4), 0);
        EXPECT_EQ(std::memcmp(end.local_addr, &peer.local, 4), 0);

        const auto without = log(nr, {s, 0, 0, 0}, perform).segments();
        ASSERT_EQ(without.size(), 1U);
        EXPECT_EQ(without[0].kind, TRIPOD_SEG_socket);
        EXPECT_TRUE(log(nr, {s, 0, 0, 0}, returning(e_again)).segments().empty());
    }
}

TEST_F(RecordTest, AddressIsCutToTheRoomThatTheCallerGave) {
    for (const unsigned nr : {51U, 52U}) {
        const Name name = name_buffer(4);
        guest.user.fill(name.at + 4, 100, 0xee); // not the kernel's
        const auto segments = log(nr, {s, name.at, name.length}, [&](cpu_user_regs&) {
                                  socket_name(name, 16);
                                  return std::int64_t{0};
                              }).segments();
        ASSERT_EQ(segments.size(), 2U);
        EXPECT_EQ(segments[0].bytes.size(), 4U);
        EXPECT_EQ(segments[1].bytes, guest.user.bytes(name.length, 4));
    }
}

TEST_F(RecordTest, SocketOptionAndRecvfromAddress) {
    const Name option = name_buffer(8);
    const auto value = log(nr_getsockopt, {s, 1, 4, option.at, option.length}, [&](cpu_user_regs&) {
                           socket_name(option, 4);
                           return std::int64_t{0};
                       }).segments();
    ASSERT_EQ(value.size(), 2U);
    EXPECT_EQ(value[0].arg, 3);
    EXPECT_EQ(value[0].bytes.size(), 4U);
    EXPECT_EQ(value[1].arg, 4);

    const Name from = name_buffer(16);
    const auto got = log(nr_recvfrom, {s, buffer, 100, 0, from.at, from.length}, [&](cpu_user_regs&) {
                         pattern(buffer, 9);
                         socket_name(from);
                         return std::int64_t{9};
                     }).segments();
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[0].bytes, guest.user.bytes(buffer, 9));
    EXPECT_EQ(got[1].arg, 4);
    EXPECT_EQ(got[1].bytes, guest.user.bytes(from.at, 16));
    EXPECT_EQ(got[2].arg, 5);
}

/** Linux' struct user_msghdr. */
struct MessageHeader {
    std::uint64_t name, namelen, iov, iovlen, control, controllen, flags;
};

TEST_F(RecordTest, Recvmsg) {
    const Va iov = iovec({{buffer, 4}, {buffer + 0x1000, 100}});
    const Va name = guest.allocate(64), control = guest.allocate(64);
    guest.user.fill(name, 64, 0xee);
    const Va header = guest.allocate_with(MessageHeader{name, 20, iov, 2, control, 64, 0});
    const Record record = log(nr_recvmsg, {s, header, 0}, [&](cpu_user_regs&) {
        guest.user.poke(buffer, "abcd", 4);
        guest.user.poke(buffer + 0x1000, "ef", 2);
        guest.user.fill(name, 16, 3);
        guest.user.fill(control, 24, 4);
        guest.user.put(header, MessageHeader{name, 16, iov, 2, control, 24, 0x20});
        return std::int64_t{6};
    });
    const auto segments = record.segments();
    ASSERT_EQ(segments.size(), 4U);
    tripod_msghdr given;
    ASSERT_EQ(segments[0].kind, TRIPOD_SEG_msghdr);
    std::memcpy(&given, segments[0].bytes.data(), sizeof given);
    EXPECT_EQ(given.namelen, 16U);
    EXPECT_EQ(given.controllen, 24U);
    EXPECT_EQ(given.flags, 0x20U);
    EXPECT_EQ(segments[1].kind, TRIPOD_SEG_name);
    EXPECT_EQ(segments[1].bytes, std::vector<std::uint8_t>(16, 3));
    EXPECT_EQ(segments[2].kind, TRIPOD_SEG_control);
    EXPECT_EQ(segments[2].bytes, std::vector<std::uint8_t>(24, 4));
    EXPECT_EQ(segments[3].kind, TRIPOD_SEG_iov);
    EXPECT_EQ(text(segments[3]), "abcdef");
}

TEST_F(RecordTest, RecvmsgNameIsCutToTheRoomThatTheCallerGave) {
    const Va iov = iovec({{buffer, 4}});
    const Va name = guest.allocate(4, true); // behind it, a hole
    const Va header = guest.allocate_with(MessageHeader{name, 4, iov, 1, 0, 0, 0});
    const Record record = log(nr_recvmsg, {s, header, 0}, [&](cpu_user_regs&) {
        guest.user.fill(name, 4, 3);
        guest.user.put(header, MessageHeader{name, 16, iov, 1, 0, 0, 0}); // the kernel tells the full length
        return std::int64_t{2};
    });
    EXPECT_EQ(record.segments().at(1).bytes, std::vector<std::uint8_t>(4, 3));
}

TEST_F(RecordTest, OutputsCarryLengthAndDigest) {
    const std::string message = "the answer is forty-two";
    guest.user.poke(buffer, message.data(), message.size());
    const std::uint64_t digest = XXH64(message.data(), message.size(), 0);
    const auto half = message.size() / 2;
    const Va iov = iovec({{buffer, half}, {buffer + half, message.size() - half}});
    const Va header = guest.allocate_with(MessageHeader{0, 0, iov, 2, 0, 0, 0});

    const std::map<unsigned, std::array<std::uint64_t, 6>> calls = {{nr_write, {s, buffer, message.size()}},
                                                                    {nr_sendto, {s, buffer, message.size()}},
                                                                    {nr_writev, {s, iov, 2}},
                                                                    {nr_sendmsg, {s, header, 0}}};
    for (const auto& [nr, args] : calls) {
        const tripod_record head = log(nr, args, returning(5)).head();
        EXPECT_EQ(head.call_class, TRIPOD_CLASS_output);
        EXPECT_EQ(head.digest, digest) << nr;
        EXPECT_EQ(head.length, message.size()) << nr;
        EXPECT_EQ(head.result, 5);
        EXPECT_EQ(log(nr, args, returning(e_again)).head().digest, 0U);
    }
}

TEST_F(RecordTest, DigestOfALargeOutputCoversItsBeginning) {
    pattern(buffer, 0x20000);
    const auto bytes = guest.user.bytes(buffer, TRIPOD_DIGEST_MAX);
    const tripod_record head = log(nr_write, {s, buffer, 0x20000}, returning(0x20000)).head();
    EXPECT_EQ(head.length, 0x20000U);
    EXPECT_EQ(head.digest, XXH64(bytes.data(), bytes.size(), 0));
    const Va iov = iovec({{buffer, 0xffff}, {buffer + 0xffff, 0x10001}});
    EXPECT_EQ(log(nr_writev, {s, iov, 2}, returning(1)).head().digest, head.digest);
}

TEST_F(RecordTest, ValueDescriptorsAreLoggedAndFilesAreNot) {
    const std::uint64_t proc = fd(guest.kernel.open_procfs(process)),
                        urandom = fd(guest.kernel.open_urandom(process)),
                        file = fd(guest.kernel.open_regular(process)), pipe = fd(guest.kernel.open_pipe(process)),
                        null = fd(guest.kernel.open_null(process));
    EXPECT_EQ(log(nr_read, {proc, buffer, 10}, giving("MemFree")).head().call_class, TRIPOD_CLASS_value);
    EXPECT_EQ(log(nr_read, {urandom, buffer, 4}, giving("\1\2\3\4")).head().call_class, TRIPOD_CLASS_value);
    const Record at = log(17, {proc, buffer, 10, 5}, giving("Cached"));
    EXPECT_EQ(at.head().call_class, TRIPOD_CLASS_value);
    EXPECT_EQ(text(at.segments().at(0)), "Cached");
    for (const std::uint64_t other :
         {file, pipe, null, std::uint64_t{63}, std::uint64_t{64}, UINT64_MAX, std::uint64_t{1} << 31})
        for (const unsigned nr :
             {nr_read, nr_write, nr_close, nr_readv, nr_writev, nr_connect, nr_accept, nr_recvmsg, 17U})
            expect_unlogged(nr, {other, buffer, 10});
    expect_unlogged(17, {s, buffer, 10, 0});
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
}

TEST_F(RecordTest, OtherSocketFamiliesAreNative) {
    const std::uint64_t local = fd(guest.kernel.open_socket(process, {.family = 1}));
    expect_unlogged(nr_read, {local, buffer, 10});
    expect_unlogged(nr_socket, {1, 1, 0});
    const std::uint64_t v6 = fd(guest.kernel.open_socket(process, {.family = 10}));
    EXPECT_EQ(log(nr_read, {v6, buffer, 10}, giving("six")).head().call_class, TRIPOD_CLASS_input);
    EXPECT_EQ(log(nr_socket, {2, 1, 0}, returning(9)).head().call_class, TRIPOD_CLASS_mirror);
    EXPECT_EQ(log(nr_socket, {0xdead0000000a, 1, 0}, returning(9)).head().result, 9);
}

TEST_F(RecordTest, UnsupportedCalls) {
    for (const unsigned nr : {275U, 276U, 278U, 299U, 307U, 327U, 328U}) {
        follow(TRIPOD_MODE_trace);
        expect_unlogged(nr, {1, buffer, 1}); // a pipe
        EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
        EXPECT_EQ(guest.make(thread, nr, {s, buffer, s}, returning(1)), Step::native);
        EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_unsupported);
        EXPECT_EQ(guest->divergence.nr, nr);
    }
}

TEST_F(RecordTest, CompatCallOfAFollowedProcessEndsTheProtection) {
    cpu_user_regs regs{};
    Process other = guest.add_process(200);
    Thread stranger = guest.add_thread(other, 200);
    guest.make(stranger, nr_clock_gettime, {1, buffer}, returning(0));
    guest.kernel.run(stranger.task);
    EXPECT_FALSE(tripod_syscall_entry32(&regs));
    EXPECT_EQ(guest->divergence.reason, TRIPOD_REASON_none);
    guest.kernel.run(thread.task);
    guest.current_kernel_sp = thread.kernel_sp;
    EXPECT_FALSE(tripod_syscall_entry32(&regs));
    EXPECT_EQ(guest->divergence.found, TRIPOD_GUEST_compat_call);
}

TEST_F(RecordTest, ModeOffSeesNothing) {
    guest.set_mode(TRIPOD_MODE_off);
    const auto calls = guest->calls;
    expect_unlogged(nr_read, {s, buffer, 10});
    EXPECT_EQ(guest->calls, calls);
}

} // namespace
} // namespace tripod::test
