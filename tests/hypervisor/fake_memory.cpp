// SPDX-License-Identifier: GPL-2.0-only
#include "fake_memory.h"

#include <algorithm>
#include <cstring>

namespace tripod::test {

namespace {

/** Calls visit(va, done, part) for each piece within one page, until it returns false; returns what is left. */
template <typename Visit>
std::uint64_t each_piece(Va va, std::uint64_t bytes, Visit visit) {
    std::uint64_t done = 0;
    while (done < bytes) {
        const std::uint64_t part =
            std::min(bytes - done, FakeMemory::page_bytes - (va + done) % FakeMemory::page_bytes);
        if (!visit(va + done, done, part))
            break;
        done += part;
    }
    return bytes - done;
}

} // namespace

void FakeMemory::map(Va va, std::uint64_t bytes) {
    for (std::uint64_t number = va / page_bytes; number <= (va + bytes - 1) / page_bytes; ++number)
        pages_[number] = Page{};
}

std::uint32_t FakeMemory::read(Va from, void* to, std::uint32_t bytes) {
    const auto left = each_piece(from, bytes, [&](Va va, std::uint64_t done, std::uint64_t part) {
        const auto page = pages_.find(va / page_bytes);
        if (page == pages_.end() || !page->second.present)
            return false;
        std::memcpy(static_cast<std::uint8_t*>(to) + done, page->second.bytes.data() + va % page_bytes, part);
        return true;
    });
    if (after_read)
        after_read(from, bytes);
    return static_cast<std::uint32_t>(left);
}

std::uint32_t FakeMemory::write(Va to, const void* from, std::uint32_t bytes) {
    return static_cast<std::uint32_t>(each_piece(to, bytes, [&](Va va, std::uint64_t done, std::uint64_t part) {
        const auto page = pages_.find(va / page_bytes);
        if (page == pages_.end() || !page->second.present || !page->second.writable)
            return false;
        std::memcpy(page->second.bytes.data() + va % page_bytes, static_cast<const std::uint8_t*>(from) + done,
                    part);
        return true;
    }));
}

void FakeMemory::poke(Va to, const void* from, std::uint64_t bytes) {
    each_piece(to, bytes, [&](Va va, std::uint64_t done, std::uint64_t part) {
        std::memcpy(page(va).bytes.data() + va % page_bytes, static_cast<const std::uint8_t*>(from) + done, part);
        return true;
    });
}

void FakeMemory::peek(Va from, void* to, std::uint64_t bytes) const {
    each_piece(from, bytes, [&](Va va, std::uint64_t done, std::uint64_t part) {
        std::memcpy(static_cast<std::uint8_t*>(to) + done,
                    pages_.at(va / page_bytes).bytes.data() + va % page_bytes, part);
        return true;
    });
}

std::vector<std::uint8_t> FakeMemory::bytes(Va from, std::uint64_t count) const {
    std::vector<std::uint8_t> result(count);
    peek(from, result.data(), count);
    return result;
}

void FakeMemory::fill(Va to, std::uint64_t count, std::uint8_t value) {
    const std::vector<std::uint8_t> bytes(count, value);
    poke(to, bytes.data(), count);
}

std::map<std::uint64_t, std::array<std::uint8_t, FakeMemory::page_bytes>> FakeMemory::content() const {
    std::map<std::uint64_t, std::array<std::uint8_t, page_bytes>> all;
    for (const auto& [number, page] : pages_)
        all.emplace(number, page.bytes);
    return all;
}

} // namespace tripod::test
