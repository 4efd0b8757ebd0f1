// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <charconv>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace tripod::net {

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
    MacAddress mac;
    if (text.size() != 17)
        return std::nullopt;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        const std::string_view digits = text.substr(i * 3, 2);
        const auto [end, error] = std::from_chars(digits.begin(), digits.end(), mac.bytes[i], 16);
        if (error != std::errc{} || end != digits.end() || (i < 5 && text[i * 3 + 2] != ':'))
            return std::nullopt;
    }
    return mac;
}

std::string MacAddress::text() const {
    return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text) {
    in_addr address{};
    if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1)
        return std::nullopt;
    return Ipv4Address{ntohl(address.s_addr)};
}

std::string Ipv4Address::text() const {
    return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 0xff, value >> 8 & 0xff, value & 0xff);
}

std::optional<Ipv6Address> Ipv6Address::parse(std::string_view text) {
    Ipv6Address address;
    if (inet_pton(AF_INET6, std::string(text).c_str(), address.bytes.data()) != 1)
        return std::nullopt;
    return address;
}

std::string Ipv6Address::text() const {
    char buffer[INET6_ADDRSTRLEN];
    return inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
}

} // namespace tripod::net
