// SPDX-License-Identifier: GPL-2.0-only
#include "fake_guest.h"

#include <cstring>
#include <stdexcept>

namespace tripod::test {

FakeGuest* running = nullptr;

namespace {

constexpr std::uint64_t nr_sched_yield = 24;

std::uint32_t aligned(std::size_t bytes) {
    return static_cast<std::uint32_t>((bytes + 7) & ~std::size_t{7});
}

} // namespace

// ------------------------------------------------------------------------------------------------ records

tripod_record Record::head() const {
    tripod_record head;
    std::memcpy(&head, bytes.data(), sizeof head);
    return head;
}

void Record::set_head(const tripod_record& head) {
    std::memcpy(bytes.data(), &head, sizeof head);
}

std::vector<Segment> Record::segments() const {
    std::vector<Segment> result;
    std::size_t at = sizeof(tripod_record);
    for (unsigned i = 0; i < head().segments; ++i) {
        tripod_segment segment;
        std::memcpy(&segment, bytes.data() + at, sizeof segment);
        at += sizeof segment;
        const auto* content = bytes.data() + at;
        result.push_back({segment.kind, segment.arg, {content, content + segment.length}});
        at += aligned(segment.length);
    }
    if (at != bytes.size())
        throw std::runtime_error("the segments do not fill the record");
    return result;
}

void Record::add_segment(unsigned kind, unsigned arg, std::span<const std::uint8_t> content) {
    const tripod_segment segment{static_cast<std::uint16_t>(kind), static_cast<std::uint16_t>(arg),
                                 static_cast<std::uint32_t>(content.size())};
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&segment);
    bytes.insert(bytes.end(), raw, raw + sizeof segment);
    bytes.insert(bytes.end(), content.begin(), content.end());
    bytes.resize(aligned(bytes.size()));
    tripod_record changed = head();
    changed.size = static_cast<std::uint32_t>(bytes.size());
    ++changed.segments;
    set_head(changed);
}

Record Record::call(std::uint64_t seq, const Thread& thread, unsigned nr, std::int64_t result, int fd) {
    tripod_record head{};
    head.size = sizeof head;
    head.type = TRIPOD_REC_call;
    head.nr = static_cast<std::uint16_t>(nr);
    head.seq = seq;
    head.tid = thread.tid;
    head.tgid = thread.process.tgid;
    head.fd = fd;
    head.result = result;
    Record record{std::vector<std::uint8_t>(sizeof head)};
    record.set_head(head);
    return record;
}

// ------------------------------------------------------------------------------------------------ life

FakeGuest::FakeGuest()
    : tripod_(new tripod_domain()), control_(new tripod_control()),
      record_(new std::uint8_t[ring_pages * PAGE_SIZE]()), replay_(new std::uint8_t[ring_pages * PAGE_SIZE]()),
      scratch_(new std::uint8_t[TRIPOD_DIGEST_MAX]) {
    running = this;
    dom.vcpu0.domain = &dom;
    dom.tripod = tripod_.get();
    tripod_->d = &dom;
    tripod_->control = control_.get();
    tripod_->record = record_.get();
    tripod_->replay = replay_.get();
    tripod_->scratch = scratch_.get();
    tripod_->ring_pages = ring_pages;
    tripod_->ring_bytes = ring_pages * PAGE_SIZE;
    tripod_->evtchn = 7;
    tripod_->profile = FakeKernel::profile();
    tripod_->have_profile = true;
}

FakeGuest::~FakeGuest() {
    if (running == this)
        running = nullptr;
}

Thread FakeGuest::add_thread(const Process& process, std::uint32_t tid) {
    next_kernel_sp_ += 0x4000;
    Thread thread{process, tid, kernel.add_task(process, tid), next_kernel_sp_, {}};
    thread.regs.rsp = 0x7ffe00000000 + tid * 0x100000ULL;
    return thread;
}

Va FakeGuest::allocate(std::uint64_t bytes, bool at_end) {
    const std::uint64_t pages = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    const Va at = next_user_;
    user.map(at, pages * PAGE_SIZE);
    next_user_ += (pages + 1) * PAGE_SIZE; // a hole behind
    return at_end ? at + pages * PAGE_SIZE - bytes : at;
}

// ------------------------------------------------------------------------------------------------ the guest

void FakeGuest::call(Thread& thread, unsigned nr, std::array<std::uint64_t, 6> args, Va site) {
    thread.regs.rax = nr;
    thread.regs.rdi = args[0];
    thread.regs.rsi = args[1];
    thread.regs.rdx = args[2];
    thread.regs.r10 = args[3];
    thread.regs.r8 = args[4];
    thread.regs.r9 = args[5];
    thread.regs.rip = site;
}

void FakeGuest::iret(Thread& thread) {
    running = this;
    current_kernel_sp = thread.kernel_sp;
    kernel.run(thread.task);
    thread.regs.rax = tripod_syscall_return(&thread.regs, thread.regs.rax);
}

void FakeGuest::idle() {
    running = this;
    tripod_vcpu_idle(&dom.vcpu0);
}

void FakeGuest::forget_pending() {
    while (tripod_->pending_count != 0)
        tripod_pending_drop(tripod_.get(), tripod_->pending);
}

Step FakeGuest::step(Thread& thread, const Native& perform) {
    const Va site = thread.regs.rip;
    const std::uint64_t nr = thread.regs.rax;

    running = this;
    current_kernel_sp = thread.kernel_sp;
    kernel.run(thread.task);
    dom.vcpu0.blocked = false;
    dom.vcpu0.pause_flags = 0;
    fault.reset();

    thread.regs.rip += 2;
    if (tripod_syscall_entry(&thread.regs)) {
        if (fault) {
            if (!user.mapped(fault->address))
                return Step::killed;
            user.page(fault->address).present = true;
            if ((fault->error_code & PFEC_write_access) != 0)
                user.page(fault->address).writable = true;
            iret(thread);
            return Step::faulted;
        }
        if (thread.regs.rip != site)
            return Step::answered;
        return dom.vcpu0.blocked || dom.vcpu0.pause_flags != 0 ? Step::blocked : Step::again;
    }

    seen.push_back(thread.regs);
    const bool yields = thread.regs.rax == nr_sched_yield && nr != nr_sched_yield;
    thread.regs.rax = yields ? 0 : static_cast<std::uint64_t>(perform(thread.regs));
    iret(thread);
    if (thread.regs.rip != site)
        return Step::native;
    return yields ? Step::yielded : Step::again;
}

Step FakeGuest::run(Thread& thread, const Native& perform) {
    for (int i = 0; i < 1000; ++i) {
        const Step now_at = step(thread, perform);
        if (now_at == Step::answered || now_at == Step::native || now_at == Step::blocked || now_at == Step::killed)
            return now_at;
    }
    throw std::runtime_error("a call went round and round: " + thread_state(thread));
}

Step FakeGuest::make(Thread& thread, unsigned nr, std::array<std::uint64_t, 6> args, const Native& perform) {
    call(thread, nr, args);
    return run(thread, perform);
}

std::string FakeGuest::thread_state(const Thread& thread) const {
    return "thread " + std::to_string(thread.tid) + " rax " + std::to_string(thread.regs.rax) + " mode " +
           std::to_string(tripod_->mode) + " waits " + std::to_string(control_->waits);
}

// ------------------------------------------------------------------------------------------------ dom0

void FakeGuest::set_mode(tripod_mode mode, std::uint64_t next_seq) {
    running = this;
    if (tripod_set_mode(tripod_.get(), mode, next_seq) != 0)
        throw std::runtime_error("the mode was refused");
}

void FakeGuest::kick() {
    running = this;
    tripod_doorbell(&dom.vcpu0, 7);
}

std::vector<Record> FakeGuest::take() {
    std::vector<Record> records;
    while (control_->record_cons != control_->record_prod) {
        const std::uint64_t offset = control_->record_cons & (tripod_->ring_bytes - 1);
        const auto* at = record_.get() + offset;
        std::uint32_t size;
        std::uint16_t type;
        std::memcpy(&size, at, sizeof size);
        std::memcpy(&type, at + 4, sizeof type);
        if (size < 8 || size % 8 != 0 || size > tripod_->ring_bytes - offset ||
            size > control_->record_prod - control_->record_cons)
            throw std::runtime_error("a malformed record in the record ring");
        if (type != TRIPOD_REC_pad)
            records.push_back({{at, at + size}});
        else if (offset + size != tripod_->ring_bytes)
            throw std::runtime_error("a pad that does not end the ring");
        control_->record_cons += size;
    }
    return records;
}

bool FakeGuest::feed(const Record& record) {
    const std::uint64_t prod = control_->replay_prod;
    const std::uint64_t rest = tripod_->ring_bytes - (prod & (tripod_->ring_bytes - 1));
    const std::uint64_t pad = record.bytes.size() > rest ? rest : 0;
    if (prod + pad + record.bytes.size() - control_->replay_cons > tripod_->ring_bytes)
        return false;
    if (pad != 0) {
        const std::uint32_t header[2] = {static_cast<std::uint32_t>(pad), TRIPOD_REC_pad};
        std::memcpy(replay_.get() + tripod_->ring_bytes - rest, header, sizeof header);
    }
    std::memcpy(replay_.get() + ((prod + pad) & (tripod_->ring_bytes - 1)), record.bytes.data(),
                record.bytes.size());
    control_->replay_prod = prod + pad + record.bytes.size();
    return true;
}

void FakeGuest::feed(const std::vector<Record>& records) {
    for (const Record& record : records)
        if (!feed(record))
            throw std::runtime_error("the replay ring is full");
}

} // namespace tripod::test
