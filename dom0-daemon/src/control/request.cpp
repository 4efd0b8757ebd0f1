// SPDX-License-Identifier: Apache-2.0
#include "control/request.h"

#include <set>

#include <fmt/core.h>

namespace tripod::control {

namespace {

// Takes members one by one and remembers the first mistake; what was never taken is unknown.
class Members {
  public:
    explicit Members(const Json& json) : json_(json) { taken_.insert("schema"); }

    std::string text(const char* name) {
        const Json* m = take(name);
        if (!m || !m->is_string())
            return wrong(name, "must be a string"), "";
        return m->get<std::string>();
    }
    std::string vm() {
        std::string name = text("vm");
        if (name.empty() && mistake_.empty())
            wrong("vm", "is empty");
        return name;
    }
    std::optional<std::string> optional_text(const char* name) {
        return json_.contains(name) ? std::optional(text(name)) : std::nullopt;
    }
    bool flag(const char* name) {
        const Json* m = take(name);
        if (m && !m->is_boolean())
            wrong(name, "must be true or false");
        return m && m->is_boolean() && m->get<bool>();
    }
    std::vector<std::string> texts(const char* name) {
        std::vector<std::string> out;
        const Json* m = take(name);
        if (!m || !m->is_array() || m->empty())
            return wrong(name, "must be a list that is not empty"), out;
        for (const Json& item : *m) {
            if (!item.is_string() || item.get_ref<const std::string&>().empty())
                return wrong(name, "must have strings that are not empty"), out;
            out.push_back(item.get<std::string>());
        }
        return out;
    }
    template <typename Integer>
    std::optional<Integer> optional_number(const char* name) {
        const Json* m = take(name);
        if (!m)
            return std::nullopt;
        if (!m->is_number_unsigned() || m->get<std::uint64_t>() > std::uint64_t{INT32_MAX})
            return wrong(name, "must be a number from 0 to 2147483647"), std::nullopt;
        return m->get<Integer>();
    }

    Result<Request> finish(Request request) {
        for (const auto& [name, value] : json_.items())
            if (mistake_.empty() && !taken_.contains(name))
                wrong(name.c_str(), "is unknown");
        if (!mistake_.empty())
            return fail(ErrorCode::protocol, "the request's " + mistake_,
                        "command and daemon are of different versions: restart tripodd after an upgrade");
        return request;
    }

  private:
    const Json* take(const char* name) {
        taken_.insert(name);
        const auto it = json_.find(name);
        return it == json_.end() ? nullptr : &*it;
    }
    void wrong(const char* name, const char* what) {
        if (mistake_.empty())
            mistake_ = fmt::format("member \"{}\" {}", name, what);
    }

    const Json& json_;
    std::set<std::string> taken_;
    std::string mistake_;
};

struct ToJson {
    Json operator()(const ProtectRequest& r) const {
        Json json{{"op", "protect"}, {"vm", r.vm}, {"backups", r.backups}};
        if (r.profile)
            json["profile"] = *r.profile;
        if (r.bridge)
            json["bridge"] = *r.bridge;
        return json;
    }
    Json operator()(const UnprotectRequest& r) const { return {{"op", "unprotect"}, {"vm", r.vm}}; }
    Json operator()(const ListRequest&) const { return {{"op", "list"}}; }
    Json operator()(const StatusRequest& r) const { return {{"op", "status"}, {"vm", r.vm}}; }
    Json operator()(const FailoverRequest& r) const {
        return {{"op", "failover"}, {"vm", r.vm}, {"isolated", r.isolated}};
    }
    Json operator()(const TraceRequest& r) const {
        Json json{{"op", "trace"}, {"vm", r.vm}, {"net", r.filter.net}, {"count", r.filter.count}};
        if (r.filter.fd)
            json["fd"] = *r.filter.fd;
        return json;
    }
    Json operator()(const InfoRequest&) const { return {{"op", "info"}}; }
};

} // namespace

Json to_json(const Request& request) {
    Json json = std::visit(ToJson{}, request);
    json["schema"] = json_schema;
    return json;
}

Result<Request> request_from(std::string_view text) {
    const auto json = parse_object(text);
    if (!json)
        return fail(ErrorCode::protocol, "the request is no JSON object");
    if (number_or<int>(*json, "schema", 0) != json_schema)
        return fail(ErrorCode::protocol, fmt::format("the request is not of schema {}", json_schema),
                    "command and daemon are of different versions: restart tripodd after an upgrade");
    Members m(*json);
    const std::string op = m.text("op");
    if (op == "protect") {
        ProtectRequest r{m.vm(), m.texts("backups"), m.optional_text("profile"), m.optional_text("bridge")};
        return m.finish(std::move(r));
    }
    if (op == "unprotect")
        return m.finish(UnprotectRequest{m.vm()});
    if (op == "list")
        return m.finish(ListRequest{});
    if (op == "status")
        return m.finish(StatusRequest{m.vm()});
    if (op == "failover") {
        FailoverRequest r{m.vm(), m.flag("isolated")};
        return m.finish(std::move(r));
    }
    if (op == "trace") {
        TraceFilter filter{m.optional_number<std::int32_t>("fd"), m.flag("net"),
                           m.optional_number<std::uint64_t>("count").value_or(0)};
        return m.finish(TraceRequest{m.vm(), filter});
    }
    if (op == "info")
        return m.finish(InfoRequest{});
    return fail(ErrorCode::protocol, fmt::format("the daemon does not know the operation \"{}\"", op),
                "command and daemon are of different versions: restart tripodd after an upgrade");
}

} // namespace tripod::control
