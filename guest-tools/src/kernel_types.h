// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decompress.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

struct btf;

namespace tripod {

/** What a member must be, so that a member that merely has the right name is not taken for the right one. */
struct MemberShape {
    std::uint32_t size; ///< bytes
    bool pointer;
};

/**
 * A kernel's type information (BTF): where the members of its structures and its per-CPU variables lie.
 * The information may be hostile; each look-up takes a bounded number of steps.
 */
class KernelTypes {
  public:
    /** From the content of the section `.BTF`. Errors: `bad_btf`. */
    static tl::expected<KernelTypes, ProfileError> parse(ByteView section);

    /**
     * Offset in bytes of `member` within `struct structure`, looked for in anonymous members too. `member` may be
     * a path through named ones ("__sk_common.skc_num"). Nothing when structure or member do not exist.
     * Errors: `bad_btf` when the member has another shape, is a bit field that fills no such bytes, or when
     * several structures of that name disagree.
     */
    tl::expected<std::optional<std::uint32_t>, ProfileError>
    member_offset(std::string_view structure, std::string_view member, MemberShape shape) const;

    /** Offset of a variable within the section `.data..percpu`, or nothing when there is no such variable. */
    std::optional<std::uint32_t> percpu_offset(std::string_view variable) const;

    KernelTypes(KernelTypes&&) noexcept = default;
    KernelTypes& operator=(KernelTypes&&) noexcept = default;
    ~KernelTypes() = default;

  private:
    struct Free {
        void operator()(btf* types) const;
    };
    explicit KernelTypes(btf* types) : types_(types) {}

    std::unique_ptr<btf, Free> types_;
};

} // namespace tripod
