// SPDX-License-Identifier: Apache-2.0
//
// Addresses of the guest's network, as values that cannot be mixed up.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tripod::net {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    static constexpr MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
    /** "00:16:3e:01:02:03" */
    static std::optional<MacAddress> parse(std::string_view text);
    std::string text() const;
    bool is_zero() const { return *this == MacAddress{}; }
    auto operator<=>(const MacAddress&) const = default; // NOLINT(modernize-use-nullptr): the compiler\'s own code
};

struct Ipv4Address {
    std::uint32_t value = 0; ///< host byte order: 192.0.2.1 is 0xc0000201

    static std::optional<Ipv4Address> parse(std::string_view text);
    std::string text() const;
    auto operator<=>(const Ipv4Address&) const = default; // NOLINT(modernize-use-nullptr): the compiler\'s own code
};

struct Ipv6Address {
    std::array<std::uint8_t, 16> bytes{};

    static std::optional<Ipv6Address> parse(std::string_view text);
    std::string text() const;
    auto operator<=>(const Ipv6Address&) const = default; // NOLINT(modernize-use-nullptr): the compiler\'s own code
};

} // namespace tripod::net
