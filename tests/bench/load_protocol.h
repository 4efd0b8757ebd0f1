// SPDX-License-Identifier: Apache-2.0
//
// What server-load says to a server, and whether an answer is the right one. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace load {

struct Answer {
    enum class Kind { incomplete, right, wrong };
    Kind kind = Kind::incomplete;
    std::size_t length = 0; // of the answer, when it is complete
};

// Request number n of a client. Answers come in the order of the requests.
class Protocol {
  public:
    virtual ~Protocol() = default;
    virtual bool datagrams() const {
        return false;
    } // each request and each answer is one datagram, and may be lost
    virtual std::string request(std::uint64_t n) const = 0;
    // The answer to request n at the beginning of bytes.
    virtual Answer parse(std::string_view bytes, std::uint64_t n) const = 0;
};

// http: GET /1k; redis: SET, and every tenth time GET; memcached: set and get in turns; dns: A of hostN.lab.
// Null: no such protocol.
std::unique_ptr<Protocol> make_protocol(std::string_view name);

} // namespace load
