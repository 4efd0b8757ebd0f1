// SPDX-License-Identifier: Apache-2.0
//
// The toolstack (libxl): finds, saves, restores, renames and destroys domains.
//
// Calls block, some for seconds (save, restore, destroy): never make them from a replication thread. One object
// belongs to one thread at a time; objects are cheap, so each operation opens its own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "xen/types.h"

namespace tripod::xen {

struct Vif {
    int devid = 0;
    std::string bridge;
    std::array<uint8_t, 6> mac{};
    std::string ip;          // as the configuration has it, may be empty
    std::string custom_name; // of its interface in dom0; empty: device_name()

    // What netback calls it in dom0 while `domain` runs.
    static std::string device_name(DomId domain, int devid);
};

// What the daemon wants to know of a domain's configuration.
struct DomainConfig {
    std::string name;
    std::string uuid; // 8-4-4-4-12
    bool pv = false;
    uint32_t vcpus = 0;
    uint64_t memory_kib = 0;
    std::string kernel; // path in dom0, empty with a boot loader
    std::vector<Vif> vifs;
    std::vector<std::string> disks; // as the guest calls them: "xvda"
    std::string json;               // libxl_domain_config, for restore()
};

class Toolstack {
  public:
    virtual ~Toolstack() = default;

    // `name_or_id`: an existing domain's name, else a decimal number of one. nullopt: no such domain.
    virtual std::optional<DomId> find(std::string_view name_or_id) = 0;
    virtual std::optional<DomId> find_name(const std::string& name) = 0;
    virtual std::optional<std::string> name_of(DomId domain) = 0;
    virtual bool exists(DomId domain) = 0;
    virtual std::vector<DomId> domains() = 0;
    virtual Result<DomainConfig> config(DomId domain) = 0;
    // What another host sent as DomainConfig::json. Not trusted; changes nothing.
    virtual Result<DomainConfig> read_config(const std::string& config_json) = 0;
    virtual std::string xen_version() = 0;

    // Asks the guest to suspend, then writes its state to `fd` (libxl's stream, without xl's header). Success
    // leaves the domain suspended: resume() it. After a failure resume() is safe as well.
    virtual Result<void> suspend_to(DomId domain, int fd) = 0;
    virtual Result<void> resume(DomId domain) = 0;

    // Builds a domain from what suspend_to() wrote, called `name`, its vifs on `bridge`. It stays paused. The
    // stream must be trusted: it is as powerful as the domain builder.
    virtual Result<DomId> restore(const std::string& config_json, const std::string& name,
                                  const std::string& bridge, int fd) = 0;
    virtual Result<void> pause(DomId domain) = 0;
    virtual Result<void> unpause(DomId domain) = 0;
    virtual Result<void> rename(DomId domain, const std::string& name) = 0;
    virtual Result<void> destroy(DomId domain) = 0;
};

// Fails where this is no dom0, or xenstored does not run.
Result<std::unique_ptr<Toolstack>> open_toolstack();

} // namespace tripod::xen
