// SPDX-License-Identifier: Apache-2.0
#include "xen/toolstack.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>

// C headers that do not say so.
extern "C" {
#include <libxl.h>
#include <libxl_utils.h>
#include <xentoollog.h>
}

namespace tripod::xen {

namespace {

// libxl tells why it failed only to its log: the daemon's own goes to stderr, so libxl's does too.
constexpr xentoollog_level log_level = XTL_WARN;

// Owns a libxl_domain_config.
class Config {
  public:
    Config() { libxl_domain_config_init(&value_); }
    ~Config() { libxl_domain_config_dispose(&value_); }
    Config(const Config&) = delete;
    Config& operator=(const Config&) = delete;
    libxl_domain_config* get() { return &value_; }
    libxl_domain_config* operator->() { return &value_; }

  private:
    libxl_domain_config value_;
};

std::string uuid_text(const libxl_uuid& uuid) {
    char text[37];
    const uint8_t* b = uuid.uuid;
    std::snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                  b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return text;
}

std::string text_or_empty(const char* text) {
    return text != nullptr ? text : "";
}

class LibxlToolstack final : public Toolstack {
  public:
    LibxlToolstack(libxl_ctx* ctx, xentoollog_logger* logger) : ctx_(ctx), logger_(logger) {}
    ~LibxlToolstack() override {
        libxl_ctx_free(ctx_);
        xtl_logger_destroy(logger_);
    }
    LibxlToolstack(const LibxlToolstack&) = delete;
    LibxlToolstack& operator=(const LibxlToolstack&) = delete;

    std::optional<DomId> find(std::string_view name_or_id) override {
        const std::string text(name_or_id);
        if (const auto named = find_name(text))
            return named;
        uint32_t id = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
        if (error == std::errc{} && end == text.data() + text.size() && exists(DomId{id}))
            return DomId{id};
        return std::nullopt;
    }

    std::optional<DomId> find_name(const std::string& name) override {
        uint32_t id = 0;
        if (libxl_name_to_domid(ctx_, name.c_str(), &id) != 0)
            return std::nullopt;
        return DomId{id};
    }

    std::optional<std::string> name_of(DomId domain) override {
        char* name = libxl_domid_to_name(ctx_, number(domain));
        if (name == nullptr)
            return std::nullopt;
        std::string copy = name;
        std::free(name);
        return copy;
    }

    bool exists(DomId domain) override {
        libxl_dominfo info;
        libxl_dominfo_init(&info);
        // Quiet: that a domain has gone is an answer, not a fault.
        const bool found = libxl_domain_info(ctx_, &info, number(domain)) == 0 && !info.dying;
        libxl_dominfo_dispose(&info);
        return found;
    }

    std::vector<DomId> domains() override {
        int count = 0;
        libxl_dominfo* list = libxl_list_domain(ctx_, &count);
        std::vector<DomId> all;
        if (list == nullptr)
            return all;
        for (int i = 0; i < count; ++i)
            all.push_back(DomId{list[i].domid});
        libxl_dominfo_list_free(list, count);
        return all;
    }

    std::string xen_version() override {
        const libxl_version_info* info = libxl_get_version_info(ctx_);
        if (info == nullptr)
            return {};
        return std::to_string(info->xen_version_major) + "." + std::to_string(info->xen_version_minor) +
               text_or_empty(info->xen_version_extra);
    }

    Result<DomainConfig> config(DomId domain) override {
        Config config;
        if (int rc = libxl_retrieve_domain_configuration(ctx_, number(domain), config.get(), nullptr); rc != 0)
            return failed("read the configuration", domain, rc);
        DomainConfig out = describe(*config.get());
        char* json = libxl_domain_config_to_json(ctx_, config.get());
        if (json == nullptr)
            return failed("print the configuration", domain, ERROR_FAIL);
        out.json = json;
        std::free(json);
        return out;
    }

    Result<DomainConfig> read_config(const std::string& config_json) override {
        Config config;
        if (auto read = parse(config, config_json); !read)
            return tl::unexpected(read.error());
        DomainConfig out = describe(*config.get());
        out.json = config_json;
        return out;
    }

    Result<void> suspend_to(DomId domain, int fd) override {
        return checked("suspend and save", domain, libxl_domain_suspend(ctx_, number(domain), fd, 0, nullptr));
    }

    Result<void> resume(DomId domain) override {
        return checked("resume", domain, libxl_domain_resume(ctx_, number(domain), 1, nullptr));
    }

    Result<DomId> restore(const std::string& config_json, const std::string& name, const std::string& bridge,
                          int fd) override {
        Config config;
        if (auto read = parse(config, config_json); !read)
            return tl::unexpected(read.error());
        // Two kernels that write to one disk destroy what is on it.
        if (config->num_disks != 0)
            return tl::unexpected(Error{0, "restore " + name + ": it has disks"});
        replace(config->c_info.name, name);
        for (int i = 0; i < config->num_nics; ++i)
            replace(config->nics[i].bridge, bridge);
        libxl_domain_restore_params params;
        libxl_domain_restore_params_init(&params);
        params.stream_version = 2;
        constexpr uint32_t no_domain = ~uint32_t{0};
        uint32_t id = no_domain;
        const int rc = libxl_domain_create_restore(ctx_, config.get(), &id, fd, -1, &params, nullptr, nullptr);
        libxl_domain_restore_params_dispose(&params);
        if (rc != 0) {
            // libxl removes most half-built domains itself, but not all of them.
            if (id != no_domain && exists(DomId{id}))
                libxl_domain_destroy(ctx_, id, nullptr);
            return tl::unexpected(Error{0, "restore " + name + ": libxl error " + std::to_string(rc)});
        }
        return DomId{id};
    }

    Result<void> pause(DomId domain) override {
        return checked("pause", domain, libxl_domain_pause(ctx_, number(domain), nullptr));
    }
    Result<void> unpause(DomId domain) override {
        return checked("unpause", domain, libxl_domain_unpause(ctx_, number(domain), nullptr));
    }
    Result<void> rename(DomId domain, const std::string& name) override {
        return checked("rename", domain, libxl_domain_rename(ctx_, number(domain), nullptr, name.c_str()));
    }
    Result<void> destroy(DomId domain) override {
        return checked("destroy", domain, libxl_domain_destroy(ctx_, number(domain), nullptr));
    }

  private:
    Result<void> parse(Config& config, const std::string& json) {
        if (libxl_domain_config_from_json(ctx_, config.get(), json.c_str()) != 0)
            return tl::unexpected(Error{0, "the configuration sent by the primary is not one that libxl reads"});
        return {};
    }
    static DomainConfig describe(const libxl_domain_config& config) {
        DomainConfig out;
        out.name = text_or_empty(config.c_info.name);
        out.uuid = uuid_text(config.c_info.uuid);
        out.pv = config.c_info.type == LIBXL_DOMAIN_TYPE_PV;
        out.vcpus = static_cast<uint32_t>(config.b_info.max_vcpus);
        out.memory_kib = config.b_info.max_memkb;
        out.kernel = text_or_empty(config.b_info.kernel);
        if (out.kernel.empty() && out.pv)
            out.kernel = text_or_empty(config.b_info.u.pv.kernel);
        for (int i = 0; i < config.num_nics; ++i) {
            const libxl_device_nic& nic = config.nics[i];
            Vif vif;
            vif.devid = nic.devid;
            vif.bridge = text_or_empty(nic.bridge);
            vif.ip = text_or_empty(nic.ip);
            vif.custom_name = text_or_empty(nic.ifname);
            std::memcpy(vif.mac.data(), nic.mac, vif.mac.size());
            out.vifs.push_back(std::move(vif));
        }
        for (int i = 0; i < config.num_disks; ++i)
            out.disks.push_back(text_or_empty(config.disks[i].vdev));
        return out;
    }
    static void replace(char*& field, const std::string& value) {
        std::free(field);
        field = strdup(value.c_str());
    }
    static tl::unexpected<Error> failed(const char* what, DomId domain, int rc) {
        return tl::unexpected(Error{0, std::string(what) + " of domain " + std::to_string(number(domain)) +
                                           ": libxl error " + std::to_string(rc)});
    }
    static Result<void> checked(const char* what, DomId domain, int rc) {
        if (rc != 0)
            return failed(what, domain, rc);
        return {};
    }

    libxl_ctx* ctx_;
    xentoollog_logger* logger_;
};

} // namespace

std::string Vif::device_name(DomId domain, int devid) {
    return "vif" + std::to_string(number(domain)) + "." + std::to_string(devid);
}

Result<std::unique_ptr<Toolstack>> open_toolstack() {
    auto* logger = reinterpret_cast<xentoollog_logger*>(xtl_createlogger_stdiostream(stderr, log_level, 0));
    if (logger == nullptr)
        return tl::unexpected(errno_error("make a logger for libxl"));
    libxl_ctx* ctx = nullptr;
    if (int rc = libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, logger); rc != 0) {
        xtl_logger_destroy(logger);
        return tl::unexpected(
            Error{0, "open libxl (is this a Xen dom0, with xenstored?): error " + std::to_string(rc)});
    }
    return std::make_unique<LibxlToolstack>(ctx, logger);
}

} // namespace tripod::xen
