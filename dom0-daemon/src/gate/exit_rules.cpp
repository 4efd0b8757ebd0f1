// SPDX-License-Identifier: Apache-2.0
#include "gate/exit_rules.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <mutex>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

// A C header that does not say so.
extern "C" {
#include <nftables/libnftables.h>
}

namespace tripod::gate {

namespace {

constexpr std::string_view comment_prefix = "tripod domain ";

struct FreeContext {
    void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// Runs nft commands, as one transaction. What they print is returned.
Result<std::string> run(const std::string& commands, bool json = false) {
    static std::mutex one_at_a_time; // the library says nothing of threads
    const std::lock_guard lock(one_at_a_time);
    const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (!context)
        return fail(ErrorCode::other, "out of memory");
    nft_ctx_buffer_output(context.get());
    nft_ctx_buffer_error(context.get());
    nft_ctx_output_set_flags(context.get(),
                             NFT_CTX_OUTPUT_HANDLE | (json ? static_cast<unsigned>(NFT_CTX_OUTPUT_JSON) : 0u));
    if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
        std::string why = nft_ctx_get_error_buffer(context.get());
        why = why.substr(0, why.find('\n'));
        return fail(ErrorCode::host_unfit, "nftables refuses the VM's gate: " + why,
                    "the kernel needs nf_tables, nft_queue, nft_meta_bridge and nfnetlink_queue (modprobe)");
    }
    return std::string(nft_ctx_get_output_buffer(context.get()));
}

struct Rule {
    DomId domain{};
    uint64_t handle = 0;
};

constexpr const char* foundation = "add table bridge tripod\n"
                                   "add chain bridge tripod gate { type filter hook prerouting priority -310; }\n";

Result<std::vector<Rule>> rules() {
    // So that there is something to list.
    const auto text =
        run(foundation).and_then([](const auto&) { return run("list chain bridge tripod gate", true); });
    if (!text)
        return tl::unexpected(text.error());
    std::vector<Rule> found;
    const auto document = nlohmann::json::parse(*text, nullptr, false);
    if (document.is_discarded() || !document.contains("nftables"))
        return fail(ErrorCode::other, "nftables lists the gates in a way that is not understood");
    for (const auto& object : document["nftables"]) {
        if (!object.contains("rule"))
            continue;
        const std::string comment = object["rule"].value("comment", "");
        if (!comment.starts_with(comment_prefix))
            continue;
        uint32_t domain = 0;
        const char* const end = comment.data() + comment.size();
        if (std::from_chars(comment.data() + comment_prefix.size(), end, domain).ptr == end)
            found.push_back({DomId{domain}, object["rule"].value("handle", uint64_t{0})});
    }
    return found;
}

} // namespace

Result<void> shut_exit(DomId domain) {
    const auto known = rules();
    if (!known)
        return tl::unexpected(known.error());
    if (std::any_of(known->begin(), known->end(), [&](const Rule& rule) { return rule.domain == domain; }))
        return {};
    const auto added =
        run(fmt::format("insert rule bridge tripod gate iifname \"vif{}.*\" counter queue num {} comment \"{}{}\"",
                        number(domain), queue_of(domain), comment_prefix, number(domain)));
    if (!added)
        return tl::unexpected(added.error());
    return {};
}

Result<void> free_exit(DomId domain) {
    const auto known = rules();
    if (!known)
        return tl::unexpected(known.error());
    std::string commands;
    for (const Rule& rule : *known)
        if (rule.domain == domain)
            commands += fmt::format("delete rule bridge tripod gate handle {}\n", rule.handle);
    if (commands.empty())
        return {};
    const auto deleted = run(commands);
    if (!deleted)
        return tl::unexpected(deleted.error());
    return {};
}

Result<std::vector<DomId>> shut_exits() {
    const auto known = rules();
    if (!known)
        return tl::unexpected(known.error());
    std::vector<DomId> domains;
    for (const Rule& rule : *known)
        domains.push_back(rule.domain);
    return domains;
}

} // namespace tripod::gate
