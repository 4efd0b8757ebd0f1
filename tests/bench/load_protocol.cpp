// SPDX-License-Identifier: Apache-2.0
#include "load_protocol.h"

#include <charconv>
#include <fmt/format.h>

namespace load {

namespace {

using Kind = Answer::Kind;

constexpr std::size_t value_size = 64;
constexpr std::uint64_t keys = 10000;
constexpr std::uint64_t names = 16; // as scripts/lab/servers/unbound has

// Keys and values depend on each other alone, so that any client knows what another one wrote.
std::string key_of(std::uint64_t n) {
    return fmt::format("key{}", n * 7919 % keys);
}
std::string value_of(std::uint64_t n) {
    return fmt::format("{:x<{}}", key_of(n), value_size);
}

// Complete when it is all there; what is there must be a beginning of it.
Answer expect(std::string_view bytes, std::string_view wanted) {
    if (bytes.starts_with(wanted))
        return {Kind::right, wanted.size()};
    return {wanted.starts_with(bytes) ? Kind::incomplete : Kind::wrong, 0};
}

Answer first_complete(Answer one, Answer other) {
    if (one.kind == Kind::wrong)
        return other;
    if (one.kind == Kind::incomplete && other.kind == Kind::right)
        return other;
    return one;
}

class Redis : public Protocol {
  public:
    std::string request(std::uint64_t n) const override {
        const std::string key = key_of(n);
        if (is_get(n))
            return fmt::format("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", key.size(), key);
        return fmt::format("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n${}\r\n{}\r\n", key.size(), key, value_size,
                           value_of(n));
    }
    Answer parse(std::string_view bytes, std::uint64_t n) const override {
        if (!is_get(n))
            return expect(bytes, "+OK\r\n");
        return first_complete(expect(bytes, fmt::format("${}\r\n{}\r\n", value_size, value_of(n))),
                              expect(bytes, "$-1\r\n")); // not written yet
    }

  private:
    static bool is_get(std::uint64_t n) { return n % 10 == 9; }
};

class Memcached : public Protocol {
  public:
    std::string request(std::uint64_t n) const override {
        if (n % 2 == 1)
            return fmt::format("get {}\r\n", key_of(n));
        return fmt::format("set {} 0 0 {}\r\n{}\r\n", key_of(n), value_size, value_of(n));
    }
    Answer parse(std::string_view bytes, std::uint64_t n) const override {
        if (n % 2 == 0)
            return expect(bytes, "STORED\r\n");
        return first_complete(
            expect(bytes, fmt::format("VALUE {} 0 {}\r\n{}\r\nEND\r\n", key_of(n), value_size, value_of(n))),
            expect(bytes, "END\r\n"));
    }
};

// The body is one letter over and over: scripts/lab/servers/nginx makes it.
class Http : public Protocol {
  public:
    std::string request(std::uint64_t) const override { return "GET /1k HTTP/1.1\r\nHost: web1\r\n\r\n"; }
    Answer parse(std::string_view bytes, std::uint64_t) const override {
        constexpr std::string_view status = "HTTP/1.1 200 OK\r\n";
        const Answer start = expect(bytes, status);
        if (start.kind != Kind::right)
            return start;
        const std::size_t header = bytes.find("\r\n\r\n");
        if (header == std::string_view::npos)
            return {};
        constexpr std::string_view name = "\r\nContent-Length: ";
        const std::size_t field = bytes.find(name);
        std::size_t length = 0;
        if (field >= header ||
            std::from_chars(bytes.data() + field + name.size(), bytes.data() + header, length).ec != std::errc() ||
            length != body_size)
            return {Kind::wrong, 0};
        const std::string_view body = bytes.substr(header + 4, length);
        if (body.find_first_not_of('x') != std::string_view::npos)
            return {Kind::wrong, 0};
        return body.size() < length ? Answer{} : Answer{Kind::right, header + 4 + length};
    }

  private:
    static constexpr std::size_t body_size = 1024;
};

class Dns : public Protocol {
  public:
    bool datagrams() const override { return true; }
    std::string request(std::uint64_t n) const override {
        std::string packet = id(n);
        packet += std::string("\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10); // recursion desired, one question
        return packet + question(n);
    }
    Answer parse(std::string_view bytes, std::uint64_t n) const override {
        const std::string wanted = question(n);
        const std::string address{'\x0a', '\x4d', '\x09', static_cast<char>(n % names)}; // 10.77.9.N
        const bool right = bytes.size() > 12 + wanted.size() && bytes.substr(0, 2) == id(n) && (bytes[2] & 0x80) &&
                           (bytes[3] & 0x0f) == 0 && bytes.substr(12, wanted.size()) == wanted &&
                           bytes.substr(12 + wanted.size()).find(address) != std::string_view::npos;
        return {right ? Kind::right : Kind::wrong, bytes.size()};
    }

  private:
    static std::string id(std::uint64_t n) { return {static_cast<char>(n >> 8), static_cast<char>(n)}; }
    static std::string question(std::uint64_t n) {
        const std::string host = fmt::format("host{}", n % names);
        std::string name{static_cast<char>(host.size())};
        return name + host + std::string("\3lab\0\0\1\0\1", 9);
    }
};

} // namespace

std::unique_ptr<Protocol> make_protocol(std::string_view name) {
    if (name == "redis")
        return std::make_unique<Redis>();
    if (name == "memcached")
        return std::make_unique<Memcached>();
    if (name == "http")
        return std::make_unique<Http>();
    if (name == "dns")
        return std::make_unique<Dns>();
    return nullptr;
}

} // namespace load
