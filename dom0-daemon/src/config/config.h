// SPDX-License-Identifier: Apache-2.0
//
// The daemon's settings: /etc/xen/tripod.conf, in xl.conf's syntax. dom0-daemon/tripod.conf is the shipped sample
// and the documentation of every key.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/error.h"
#include "base/log.h"

namespace tripod {

struct Config {
    std::string host; // never empty after load: this host's name, as the others call it
    std::string listen_address = "0.0.0.0";
    std::uint16_t listen_port = 7480;
    std::string rdma_device;                  // empty: the first one
    std::map<std::string, std::string> peers; // host name to "address" or "address:port"; others go through DNS
    std::string cluster_key_file = "/etc/xen/tripod.key"; // read once, at the daemon's start
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds election_min{
        300}; // a primary silent for a random time between these two is taken for dead
    std::chrono::milliseconds election_max{500};
    std::chrono::milliseconds lease{250}; // outputs stop after so long without a majority; below election_min
    std::chrono::milliseconds slow_backup{3000}; // a backup that takes nothing from a full log for so long is lost
    std::chrono::milliseconds connect_timeout{5000};
    std::uint32_t ring_pages = 1024;     // each of the two rings; a power of two, 64..4096
    std::uint64_t log_bytes = 32u << 20; // of each group's log in RDMA memory, a power of two
    std::uint32_t gate_frames = 8192;    // frames of a VM that are held before its outputs wait
    std::string isolated_bridge = "tripod-iso";
    std::string socket_path = "/run/tripod/tripodd.sock";
    std::string state_dir = "/var/lib/tripod";
    log::Level log_level = log::Level::info;
};

inline constexpr const char* default_config_path = "/etc/xen/tripod.conf";

// An "address" or "address:port" or "[v6]:port".
struct HostPort {
    std::string address;
    std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(const std::string& text, std::uint16_t default_port);

// Where `host` listens: its entry in `peers`, else the name itself (DNS), with the default port where none is
// given.
Result<HostPort> peer_address(const Config& config, const std::string& host);

// ErrorCode::bad_config with file, line where known, key and what is wrong. A missing file is an error too.
Result<Config> load_config(const std::string& path);
// As load_config, from text; `name` stands for the file in messages.
Result<Config> parse_config(const std::string& text, const std::string& name);

} // namespace tripod
