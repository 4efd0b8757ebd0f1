// SPDX-License-Identifier: GPL-2.0-only
/**
 * Pages of a fake guest, user's or kernel's, at guest virtual addresses. Copies stop at the first page that is not
 * there (or, for writes, not writable), as hardware would make them; what can go wrong in between is set by a test.
 */
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <type_traits>
#include <vector>

namespace tripod::test {

using Va = std::uint64_t;

class FakeMemory {
  public:
    static constexpr std::uint64_t page_bytes = 4096;
    struct Page {
        std::array<std::uint8_t, page_bytes> bytes{};
        bool present = true;
        bool writable = true;
    };

    /** Makes every page of [va, va + bytes) exist, zeroed, present and writable. */
    void map(Va va, std::uint64_t bytes);
    void unmap(Va va) { pages_.erase(va / page_bytes); }
    /** The page that holds `va`; it must have been mapped. */
    Page& page(Va va) { return pages_.at(va / page_bytes); }
    [[nodiscard]] bool mapped(Va va) const { return pages_.contains(va / page_bytes); }

    /** As the CPU copies. Returns the bytes that were not copied. */
    std::uint32_t read(Va from, void* to, std::uint32_t bytes);
    std::uint32_t write(Va to, const void* from, std::uint32_t bytes);

    /** As the guest itself does, whatever the pages' state; the pages must be mapped. */
    void poke(Va to, const void* from, std::uint64_t bytes);
    void peek(Va from, void* to, std::uint64_t bytes) const;
    template <typename T>
    void put(Va to, const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        poke(to, &value, sizeof value);
    }
    template <typename T>
    [[nodiscard]] T get(Va from) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        peek(from, &value, sizeof value);
        return value;
    }
    [[nodiscard]] std::vector<std::uint8_t> bytes(Va from, std::uint64_t count) const;
    void fill(Va to, std::uint64_t count, std::uint8_t value);

    /** Called after each read by the code under test: what another thread of the guest does meanwhile. */
    std::function<void(Va from, std::uint32_t bytes)> after_read;

    /** All content, to compare two guests or two moments. */
    [[nodiscard]] std::map<std::uint64_t, std::array<std::uint8_t, page_bytes>> content() const;

  private:
    std::map<std::uint64_t, Page> pages_;
};

} // namespace tripod::test
