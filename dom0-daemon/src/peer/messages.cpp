// SPDX-License-Identifier: Apache-2.0
#include "peer/messages.h"

#include <climits>
#include <cstring>

#include <nlohmann/json.hpp>

namespace tripod::peer {

namespace {

using nlohmann::json;

template <typename Bytes>
std::string hex(const Bytes& value) {
    std::string text;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    for (size_t i = 0; i < sizeof value; ++i) {
        constexpr char digits[] = "0123456789abcdef";
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

// Names and reasons may hold any bytes: what is not UTF-8 is replaced rather than thrown about.
std::string line(const json& object) {
    return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

// nlohmann's exceptions stay inside parse(): reading a field in the wrong shape throws there.
struct Malformed {
    std::string what;
};

template <typename Bytes>
Bytes from_hex(const std::string& text) {
    Bytes value{};
    if (text.size() != 2 * sizeof value)
        throw Malformed{"a hexadecimal field of the wrong length"};
    auto* bytes = reinterpret_cast<uint8_t*>(&value);
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        int digit = -1;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        if (digit < 0)
            throw Malformed{"a hexadecimal field with other characters"};
        bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] << 4 | digit);
    }
    return value;
}

// An unsigned number within limits: a JSON number is converted by truncation otherwise.
uint64_t number_in(const json& object, const char* key, uint64_t max) {
    const json& field = object.at(key);
    if (!field.is_number_unsigned() || field.get<uint64_t>() > max)
        throw Malformed{std::string("\"") + key + "\" is no number up to " + std::to_string(max)};
    return field.get<uint64_t>();
}

std::string text_in(const json& object, const char* key, size_t max) {
    std::string text = object.at(key).get<std::string>();
    if (text.size() > max || text.find('\0') != std::string::npos)
        throw Malformed{std::string("\"") + key + "\" is too long or holds a zero byte"};
    return text;
}

constexpr size_t name_max = 128;
constexpr size_t members_max = 7;
constexpr size_t vifs_max = 64;

template <typename Read>
auto parse(std::string_view text, const char* what, Read read) -> Result<decltype(read(json{}))> {
    try {
        const json object = json::parse(text);
        if (!object.is_object())
            throw Malformed{"not an object"};
        return read(object);
    } catch (const Malformed& malformed) {
        return fail(ErrorCode::protocol, std::string("malformed ") + what + ": " + malformed.what);
    } catch (const json::exception& error) {
        return fail(ErrorCode::protocol, std::string("malformed ") + what + ": " + error.what());
    }
}

Timing read_timing(const json& object) {
    constexpr uint64_t hour_ms = 3'600'000;
    Timing timing;
    timing.heartbeat_ms = static_cast<int64_t>(number_in(object, "heartbeat_ms", hour_ms));
    timing.election_min_ms = static_cast<int64_t>(number_in(object, "election_min_ms", hour_ms));
    timing.election_max_ms = static_cast<int64_t>(number_in(object, "election_max_ms", hour_ms));
    timing.lease_ms = static_cast<int64_t>(number_in(object, "lease_ms", hour_ms));
    timing.slow_backup_ms = static_cast<int64_t>(number_in(object, "slow_backup_ms", hour_ms));
    return timing;
}

} // namespace

std::string to_json(const Hello& hello) {
    json object = {{"protocol", hello.protocol}, {"interface_version", hello.interface_version},
                   {"host", hello.host},         {"instance", hello.instance},
                   {"refusal", hello.refusal},   {"xen_interface_version", nullptr}};
    if (hello.xen_interface_version)
        object["xen_interface_version"] = *hello.xen_interface_version;
    return line(object);
}

Result<Hello> parse_hello(std::string_view text) {
    return parse(text, "hello", [](const json& object) {
        Hello hello;
        hello.protocol = static_cast<uint32_t>(number_in(object, "protocol", UINT32_MAX));
        hello.interface_version = static_cast<uint32_t>(number_in(object, "interface_version", UINT32_MAX));
        if (!object.at("xen_interface_version").is_null())
            hello.xen_interface_version =
                static_cast<uint32_t>(number_in(object, "xen_interface_version", UINT32_MAX));
        hello.host = text_in(object, "host", name_max);
        hello.instance = text_in(object, "instance", name_max);
        hello.refusal = text_in(object, "refusal", 1024);
        return hello;
    });
}

std::string to_json(const Prepare& p) {
    json bridges = json::array();
    for (const auto& [devid, bridge] : p.bridges)
        bridges.push_back({{"devid", devid}, {"bridge", bridge}});
    return line(json{{"op", "prepare"},
                     {"vm", p.vm},
                     {"uuid", p.uuid},
                     {"primary", p.primary},
                     {"group", hex(p.group)},
                     {"replica", p.replica},
                     {"config", p.config_json},
                     {"bridges", bridges},
                     {"profile", hex(p.profile)},
                     {"ring_pages", p.ring_pages},
                     {"log_bytes", p.log_bytes},
                     {"memory_kib", p.memory_kib},
                     {"timing",
                      {{"heartbeat_ms", p.timing.heartbeat_ms},
                       {"election_min_ms", p.timing.election_min_ms},
                       {"election_max_ms", p.timing.election_max_ms},
                       {"lease_ms", p.timing.lease_ms},
                       {"slow_backup_ms", p.timing.slow_backup_ms}}}});
}

Result<Prepare> parse_prepare(std::string_view text) {
    return parse(text, "prepare", [](const json& object) {
        Prepare p;
        p.vm = text_in(object, "vm", name_max);
        p.uuid = text_in(object, "uuid", 36);
        p.primary = text_in(object, "primary", name_max);
        p.group = from_hex<GroupKey>(object.at("group").get<std::string>());
        p.replica = static_cast<uint8_t>(number_in(object, "replica", UINT8_MAX));
        p.config_json = text_in(object, "config", config_bytes_max);
        const json& bridges = object.at("bridges");
        if (!bridges.is_array() || bridges.size() > vifs_max)
            throw Malformed{"\"bridges\" is no list of at most " + std::to_string(vifs_max)};
        for (const json& item : bridges)
            p.bridges[static_cast<int>(number_in(item, "devid", INT_MAX))] = text_in(item, "bridge", 64);
        p.profile = from_hex<tripod_profile>(object.at("profile").get<std::string>());
        p.ring_pages = static_cast<uint32_t>(number_in(object, "ring_pages", 4096));
        p.log_bytes = number_in(object, "log_bytes", uint64_t{1} << 36);
        p.memory_kib = number_in(object, "memory_kib", uint64_t{1} << 40);
        p.timing = read_timing(object.at("timing"));
        if (p.vm.empty() || p.replica == 0)
            throw Malformed{"an empty name or replica 0"};
        return p;
    });
}

std::string to_json(const Prepared& prepared) {
    return line(json{{"rendezvous_port", prepared.rendezvous_port}});
}

Result<Prepared> parse_prepared(std::string_view text) {
    return parse(text, "answer to prepare", [](const json& object) {
        return Prepared{static_cast<uint16_t>(number_in(object, "rendezvous_port", UINT16_MAX))};
    });
}

std::string to_json(const Start& start) {
    json members = json::array();
    for (const auto& member : start.members)
        members.push_back(
            {{"id", member.id}, {"host", member.host}, {"address", member.address}, {"port", member.port}});
    return line(json{{"op", "start"}, {"members", members}, {"initial_leader", start.initial_leader}});
}

Result<Start> parse_start(std::string_view text) {
    return parse(text, "start", [](const json& object) {
        Start start;
        start.initial_leader = static_cast<uint8_t>(number_in(object, "initial_leader", UINT8_MAX));
        const json& members = object.at("members");
        if (!members.is_array() || members.size() > members_max)
            throw Malformed{"\"members\" is no list of at most " + std::to_string(members_max)};
        for (const json& item : members)
            start.members.push_back({static_cast<uint8_t>(number_in(item, "id", UINT8_MAX)),
                                     text_in(item, "host", name_max), text_in(item, "address", name_max),
                                     static_cast<uint16_t>(number_in(item, "port", UINT16_MAX))});
        return start;
    });
}

std::string to_json(const StateEnd& end) {
    return line(json{{"raw_bytes", end.raw_bytes}, {"chunks", end.chunks}, {"digest", hex(end.digest)}});
}

Result<StateEnd> parse_state_end(std::string_view text) {
    return parse(text, "end of the state stream", [](const json& object) {
        StateEnd end;
        end.raw_bytes = number_in(object, "raw_bytes", UINT64_MAX);
        end.chunks = number_in(object, "chunks", UINT64_MAX);
        end.digest = from_hex<uint64_t>(object.at("digest").get<std::string>());
        return end;
    });
}

std::string op_json(std::string_view op) {
    return line(json{{"op", op}});
}

std::string to_json(const Diverged& d) {
    json object = {
        {"op", "diverged"}, {"vm", d.vm}, {"group", hex(d.group)}, {"host", d.host}, {"detail", d.detail}};
    if (d.applied)
        object["applied"] = *d.applied;
    return line(object);
}
Result<Diverged> parse_diverged(std::string_view text) {
    return parse(text, "notice", [](const json& object) {
        Diverged d{text_in(object, "vm", name_max),
                   from_hex<GroupKey>(object.at("group").get<std::string>()),
                   text_in(object, "host", name_max),
                   text_in(object, "detail", 1024),
                   {}};
        if (object.contains("applied"))
            d.applied = number_in(object, "applied", UINT64_MAX);
        return d;
    });
}

std::string to_json(const HandOver& request) {
    return line(
        json{{"op", "hand_over"}, {"vm", request.vm}, {"group", hex(request.group)}, {"replica", request.replica}});
}

Result<HandOver> parse_hand_over(std::string_view text) {
    return parse(text, "request", [](const json& object) {
        return HandOver{text_in(object, "vm", name_max), from_hex<GroupKey>(object.at("group").get<std::string>()),
                        static_cast<uint8_t>(number_in(object, "replica", UINT8_MAX))};
    });
}

std::string to_json(const Whereabouts& question) {
    return line(json{{"op", "whereabouts"}, {"vm", question.vm}, {"uuid", question.uuid}});
}

Result<Whereabouts> parse_whereabouts(std::string_view text) {
    return parse(text, "request", [](const json& object) {
        return Whereabouts{text_in(object, "vm", name_max), text_in(object, "uuid", 36)};
    });
}

std::string unreached_json(const std::vector<std::string>& hosts) {
    return line(json{{"unreached", hosts}});
}

Result<std::vector<std::string>> parse_unreached(std::string_view text) {
    return parse(text, "answer to links", [](const json& object) {
        const json& hosts = object.at("unreached");
        if (!hosts.is_array() || hosts.size() > members_max)
            throw Malformed{"\"unreached\" is no list of at most " + std::to_string(members_max)};
        std::vector<std::string> names;
        for (const json& item : hosts) {
            names.push_back(item.get<std::string>());
            if (names.back().size() > name_max)
                throw Malformed{"a name that is too long"};
        }
        return names;
    });
}

std::string runs_here_json(bool runs) {
    return line(json{{"runs_here", runs}});
}

Result<bool> parse_runs_here(std::string_view text) {
    return parse(text, "answer to whereabouts",
                 [](const json& object) { return object.at("runs_here").get<bool>(); });
}

std::string error_json(const Error& error) {
    return line(
        json{{"code", static_cast<unsigned>(error.code)}, {"message", error.message}, {"remedy", error.remedy}});
}

Result<std::string> parse_op(std::string_view text) {
    return parse(text, "request", [](const json& object) { return text_in(object, "op", name_max); });
}

Error parse_error(std::string_view text, const std::string& host) {
    const auto error = parse(text, "error", [](const json& object) {
        return Error{error_code_from_number(static_cast<long>(number_in(object, "code", 255))),
                     text_in(object, "message", 4096), text_in(object, "remedy", 4096)};
    });
    if (!error)
        return {ErrorCode::protocol, host + " sent an error that cannot be read", {}};
    return {error->code, host + ": " + error->message, error->remedy};
}

} // namespace tripod::peer
