// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <vector>

#include <fmt/core.h>
#include <sys/un.h>
#include <unistd.h>

extern "C" {
#include <libxlutil.h>
}

#include "config/key_scan.h"

namespace tripod {

namespace {

// What one key does with its value: nullopt, or what is wrong with the value.
using Fault = std::optional<std::string>;

struct Reader {
    XLU_Config* cfg;
    Config out;

    Fault text(const char* key, std::string& into, bool may_be_empty = false) {
        const char* value = nullptr;
        if (xlu_cfg_get_string(cfg, key, &value, 1))
            return "is not a string";
        if (!*value && !may_be_empty)
            return "is empty";
        into = value;
        return std::nullopt;
    }

    Fault number(const char* key, std::uint64_t min, std::uint64_t max, std::uint64_t& into) {
        std::string value;
        if (text(key, value, true))
            return "is not a number";
        std::uint64_t n = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
        if (error != std::errc() || end != value.data() + value.size())
            return fmt::format("is \"{}\", not a number", value);
        if (n < min || n > max)
            return fmt::format("is {}, not from {} to {}", n, min, max);
        into = n;
        return std::nullopt;
    }

    Fault duration(const char* key, std::chrono::milliseconds& into, std::uint64_t max_ms = 60000) {
        std::uint64_t n = 0;
        if (Fault fault = number(key, 1, max_ms, n))
            return fault;
        into = std::chrono::milliseconds(n);
        return std::nullopt;
    }

    Fault absolute_path(const char* key, std::string& into) {
        if (Fault fault = text(key, into))
            return fault;
        if (into.front() != '/')
            return fmt::format("is \"{}\", not an absolute path", into);
        return std::nullopt;
    }

    Fault listen() {
        std::string value;
        if (Fault fault = text("listen", value))
            return fault;
        auto parsed = parse_host_port(value, out.listen_port);
        if (!parsed)
            return parsed.error().message;
        out.listen_address = parsed->address;
        out.listen_port = parsed->port;
        return std::nullopt;
    }

    Fault peers() {
        XLU_ConfigList* list = nullptr;
        int entries = 0;
        if (xlu_cfg_get_list(cfg, "peers", &list, &entries, 1))
            return "is not a list like [ \"h2=10.0.0.2\", \"h3=10.0.0.3:7480\" ]";
        for (int i = 0; i < entries; i++) {
            const char* item = xlu_cfg_get_listitem(list, i);
            const std::string entry = item ? item : "";
            const auto equals = entry.find('=');
            if (equals == 0 || equals == std::string::npos || equals + 1 == entry.size())
                return fmt::format("has the entry \"{}\", not NAME=ADDRESS", entry);
            auto address = parse_host_port(entry.substr(equals + 1), 7480);
            if (!address)
                return fmt::format("has the entry \"{}\": {}", entry, address.error().message);
            if (!out.peers.emplace(entry.substr(0, equals), entry.substr(equals + 1)).second)
                return fmt::format("names {} twice", entry.substr(0, equals));
        }
        return std::nullopt;
    }

    Fault ring_pages() {
        std::uint64_t n = 0;
        if (Fault fault = number("ring_pages", 64, 4096, n))
            return fault;
        if (!std::has_single_bit(n))
            return fmt::format("is {}, not a power of two", n);
        out.ring_pages = static_cast<std::uint32_t>(n);
        return std::nullopt;
    }

    Fault log_mbytes() {
        std::uint64_t n = 0;
        if (Fault fault = number("log_mbytes", 8, 16384, n))
            return fault;
        if (!std::has_single_bit(n))
            return fmt::format("is {}, not a power of two", n);
        out.log_bytes = n << 20;
        return std::nullopt;
    }

    Fault gate_frames() {
        std::uint64_t n = 0;
        if (Fault fault = number("gate_frames", 64, 32768, n))
            return fault;
        out.gate_frames = static_cast<std::uint32_t>(n);
        return std::nullopt;
    }

    Fault log_level() {
        std::string value;
        if (Fault fault = text("log_level", value))
            return fault;
        const auto level = log::level_from_name(value);
        if (!level)
            return fmt::format("is \"{}\", not error, warning, info or debug", value);
        out.log_level = *level;
        return std::nullopt;
    }
};

struct Key {
    const char* name;
    std::function<Fault(Reader&)> read;
};

const std::vector<Key>& keys() {
    static const std::vector<Key> table = {
        {"host", [](Reader& r) { return r.text("host", r.out.host); }},
        {"listen", [](Reader& r) { return r.listen(); }},
        {"rdma_device", [](Reader& r) { return r.text("rdma_device", r.out.rdma_device, true); }},
        {"peers", [](Reader& r) { return r.peers(); }},
        {"cluster_key_file", [](Reader& r) { return r.absolute_path("cluster_key_file", r.out.cluster_key_file); }},
        {"heartbeat_ms", [](Reader& r) { return r.duration("heartbeat_ms", r.out.heartbeat); }},
        {"election_min_ms", [](Reader& r) { return r.duration("election_min_ms", r.out.election_min); }},
        {"election_max_ms", [](Reader& r) { return r.duration("election_max_ms", r.out.election_max); }},
        {"lease_ms", [](Reader& r) { return r.duration("lease_ms", r.out.lease); }},
        {"slow_backup_ms", [](Reader& r) { return r.duration("slow_backup_ms", r.out.slow_backup); }},
        {"connect_timeout_ms", [](Reader& r) { return r.duration("connect_timeout_ms", r.out.connect_timeout); }},
        {"ring_pages", [](Reader& r) { return r.ring_pages(); }},
        {"log_mbytes", [](Reader& r) { return r.log_mbytes(); }},
        {"gate_frames", [](Reader& r) { return r.gate_frames(); }},
        {"isolated_bridge", [](Reader& r) { return r.text("isolated_bridge", r.out.isolated_bridge); }},
        {"socket", [](Reader& r) { return r.absolute_path("socket", r.out.socket_path); }},
        {"state_dir", [](Reader& r) { return r.absolute_path("state_dir", r.out.state_dir); }},
        {"log_level", [](Reader& r) { return r.log_level(); }},
    };
    return table;
}

tl::unexpected<Error> bad(std::string message, std::string remedy = "see the comments in the sample tripod.conf") {
    return fail(ErrorCode::bad_config, std::move(message), std::move(remedy));
}

std::string known_keys() {
    std::string names;
    for (const Key& key : keys())
        names += (names.empty() ? "" : ", ") + std::string(key.name);
    return names;
}

// What no single key can tell.
Fault check_together(const Config& c) {
    if (c.lease >= c.election_min)
        return fmt::format("lease_ms ({}) must be below election_min_ms ({}): otherwise an old primary could still "
                           "answer when a new one does",
                           c.lease.count(), c.election_min.count());
    // The two hosts' clocks may run apart, by 0.1 % each from the true rate.
    if (c.lease.count() * 1003 >= c.election_min.count() * 1000)
        return fmt::format("lease_ms ({}) must be below election_min_ms ({}) by more than 0.3 %", c.lease.count(),
                           c.election_min.count());
    if (c.election_min >= c.election_max)
        return fmt::format("election_min_ms ({}) must be below election_max_ms ({})", c.election_min.count(),
                           c.election_max.count());
    if (c.heartbeat * 2 > c.lease)
        return fmt::format("heartbeat_ms ({}) must be at most half of lease_ms ({})", c.heartbeat.count(),
                           c.lease.count());
    if (c.heartbeat * 3 > c.election_min)
        return fmt::format("heartbeat_ms ({}) must be at most a third of election_min_ms ({})", c.heartbeat.count(),
                           c.election_min.count());
    if (c.socket_path.size() >= sizeof(sockaddr_un{}.sun_path))
        return fmt::format("socket has {} characters, at most {}", c.socket_path.size(),
                           sizeof(sockaddr_un{}.sun_path) - 1);
    if (c.isolated_bridge.size() > 15)
        return fmt::format("isolated_bridge \"{}\" is longer than an interface name may be (15)",
                           c.isolated_bridge);
    return std::nullopt;
}

std::string this_host() {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) || !name[0])
        return {};
    const std::string full(name);
    return full.substr(0, full.find('.'));
}

} // namespace

Result<HostPort> parse_host_port(const std::string& text, std::uint16_t default_port) {
    HostPort out{text, default_port};
    std::string port;
    bool has_port = false;
    if (!text.empty() && text.front() == '[') {
        const auto close = text.find(']');
        if (close == std::string::npos || (close + 1 < text.size() && text[close + 1] != ':'))
            return bad(fmt::format("\"{}\" is not [ADDRESS]:PORT", text));
        out.address = text.substr(1, close - 1);
        has_port = close + 1 < text.size();
        port = has_port ? text.substr(close + 2) : "";
    } else if (std::count(text.begin(), text.end(), ':') == 1) { // more of them: a bare IPv6 address
        const auto colon = text.find(':');
        out.address = text.substr(0, colon);
        has_port = true;
        port = text.substr(colon + 1);
    }
    if (out.address.empty())
        return bad(fmt::format("\"{}\" has no address", text));
    if (has_port) {
        unsigned n = 0;
        const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), n);
        if (error != std::errc() || end != port.data() + port.size() || n == 0 || n > 65535)
            return bad(fmt::format("\"{}\" has no port from 1 to 65535", text));
        out.port = static_cast<std::uint16_t>(n);
    }
    return out;
}

Result<HostPort> peer_address(const Config& config, const std::string& host) {
    const auto it = config.peers.find(host);
    return parse_host_port(it == config.peers.end() ? host : it->second, 7480);
}

Result<Config> parse_config(const std::string& text, const std::string& name) {
    char* report = nullptr;
    std::size_t report_size = 0;
    FILE* report_file = open_memstream(&report, &report_size);
    if (!report_file)
        return fail(ErrorCode::other, "out of memory while reading " + name);
    XLU_Config* cfg = xlu_cfg_init(report_file, name.c_str());
    const int failed = cfg ? xlu_cfg_readdata(cfg, text.data(), static_cast<int>(text.size())) : -1;
    std::fclose(report_file);
    std::string problem = report ? report : "";
    std::free(report);
    const std::unique_ptr<XLU_Config, void (*)(XLU_Config*)> owner(cfg, [](XLU_Config* c) {
        if (c)
            xlu_cfg_destroy(c);
    });
    if (failed) {
        problem.resize(std::min(problem.find('\n'), problem.size()));
        return bad(problem.empty() ? name + " cannot be read" : problem, "the syntax is that of xl.conf(5)");
    }

    Reader reader{cfg, {}};
    std::vector<std::string> seen;
    for (const ConfigKey& found : scan_keys(text)) {
        const auto key =
            std::find_if(keys().begin(), keys().end(), [&](const Key& k) { return found.name == k.name; });
        if (key == keys().end())
            return bad(fmt::format("{}:{}: unknown key \"{}\"", name, found.line, found.name),
                       "the keys are: " + known_keys());
        if (std::find(seen.begin(), seen.end(), found.name) != seen.end())
            return bad(fmt::format("{}:{}: \"{}\" is set a second time", name, found.line, found.name));
        seen.push_back(found.name);
        if (const Fault fault = key->read(reader))
            return bad(fmt::format("{}:{}: \"{}\" {}", name, found.line, found.name, *fault));
    }
    if (const Fault fault = check_together(reader.out))
        return bad(fmt::format("{}: {}", name, *fault));
    if (reader.out.host.empty())
        reader.out.host = this_host();
    if (reader.out.host.empty())
        return bad(name + ": this machine has no host name", "set \"host\"");
    return reader.out;
}

Result<Config> load_config(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf() || file.peek() == std::ifstream::traits_type::eof()))
        return bad("cannot read " + path, "copy the sample tripod.conf there");
    return parse_config(text.str(), path);
}

} // namespace tripod
