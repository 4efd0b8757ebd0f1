// SPDX-License-Identifier: Apache-2.0
//
// A request of the command to the daemon, and its JSON. Unlike answers, requests are read strictly: an unknown
// member may be an option that changes what is asked for, so it is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "control/json.h"
#include "control/service.h"

namespace tripod::control {

struct UnprotectRequest {
    std::string vm;
};
struct ListRequest {};
struct StatusRequest {
    std::string vm;
};
struct InfoRequest {};

// Which records of a trace are wanted.
struct TraceFilter {
    std::optional<std::int32_t> fd; // calls on this descriptor only
    bool net = false;               // calls on network sockets only (record::on_network_socket)
    std::uint64_t count = 0;        // end after so many; 0: no end
};
struct TraceRequest {
    std::string vm;
    TraceFilter filter;
};

using Request = std::variant<ProtectRequest, UnprotectRequest, ListRequest, StatusRequest, FailoverRequest,
                             TraceRequest, InfoRequest>;

Json to_json(const Request& request);
// ErrorCode::protocol, naming the member that is missing, unknown or of the wrong type.
Result<Request> request_from(std::string_view text);

} // namespace tripod::control
