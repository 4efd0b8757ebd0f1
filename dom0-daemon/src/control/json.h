// SPDX-License-Identifier: Apache-2.0
//
// The service's structures as JSON: on the local socket, and as `--json` prints them. docs/commands.md has the
// members. A member is only ever added; whatever breaks a reader raises json_schema.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/service.h"

namespace tripod::control {

using Json = nlohmann::json;

inline constexpr int json_schema = 1;

// Names as they are printed: "primary", "catching-up", …
const char* role_name(Role role);
const char* replica_state_name(ReplicaState state);
const char* vm_state_name(VmState state);

Json to_json(const Event& event);
Json to_json(const VmStatus& status);
Json to_json(const InfoReply& info);
Json to_json(const TraceStart& start);
Json to_json(const Error& error);
Json list_to_json(const std::vector<VmStatus>& vms);

// One line, without failing on bytes that are not UTF-8 (they are replaced).
std::string dump(const Json& json, int indent = -1);
// nullopt when `text` is no JSON object.
std::optional<Json> parse_object(std::string_view text);

// The readers are the command's, for what a daemon of another version may have sent: a member that is missing or of
// another type counts as its default.
VmStatus vm_status_from(const Json& json);
InfoReply info_from(const Json& json);
TraceStart trace_start_from(const Json& json);
Error error_from(const Json& json);

std::string text_or(const Json& json, const char* member, const std::string& otherwise = {});
template <typename Integer>
Integer number_or(const Json& json, const char* member, Integer otherwise) {
    const auto it = json.is_object() ? json.find(member) : json.end();
    return it != json.end() && it->is_number_integer() ? it->template get<Integer>() : otherwise;
}

} // namespace tripod::control
