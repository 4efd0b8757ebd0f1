// SPDX-License-Identifier: Apache-2.0
#include "kernel_types.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

namespace tripod {
namespace {

// Anonymous structures nest three or four deep in real kernels; typedefs and qualifiers chain about as far.
constexpr int kDepthMax = 16;
// task_struct has under a thousand members. The limit stops types that contain themselves many times over.
constexpr int kStepsMax = 100'000;
constexpr std::string_view kPercpuSection = ".data..percpu";

std::string_view name_of(const btf* types, std::uint32_t offset) {
    const char* name = btf__name_by_offset(types, offset);
    return name != nullptr ? name : "";
}

/** The type behind typedefs and qualifiers, or null. */
const btf_type* strip(const btf* types, std::uint32_t id) {
    for (int depth = 0; depth < kDepthMax; ++depth) {
        const btf_type* type = btf__type_by_id(types, id);
        if (type == nullptr)
            return nullptr;
        if (!btf_is_mod(type) && !btf_is_typedef(type))
            return type;
        id = type->type;
    }
    return nullptr;
}

/** A member found: its place in bits from the start of the outermost structure. */
struct Place {
    std::uint64_t bits = 0;
    std::uint32_t bitfield_size = 0; ///< 0: not a bit field
    std::uint32_t type_id = 0;
};

/** Looks for a member of that name; anonymous structures and unions count as part of the one they are in. */
class MemberSearch {
  public:
    MemberSearch(const btf* types, std::string_view wanted) : types_(types), wanted_(wanted) {}

    std::optional<Place> in(const btf_type* composite, std::uint64_t base_bits = 0, int depth = 0) {
        if (depth == kDepthMax)
            return std::nullopt;
        const btf_member* members = btf_members(composite);
        for (std::uint32_t i = 0; i < btf_vlen(composite); ++i) {
            if (++steps_ > kStepsMax)
                return std::nullopt;
            const std::uint64_t bits = base_bits + btf_member_bit_offset(composite, i);
            const std::string_view name = name_of(types_, members[i].name_off);
            if (name == wanted_)
                return Place{bits, btf_member_bitfield_size(composite, i), members[i].type};
            if (!name.empty())
                continue;
            const btf_type* inner = strip(types_, members[i].type);
            if (inner == nullptr || !btf_is_composite(inner))
                continue;
            if (const auto found = in(inner, bits, depth + 1))
                return found;
        }
        return std::nullopt;
    }

  private:
    const btf* types_;
    std::string_view wanted_;
    int steps_ = 0;
};

std::optional<Place> follow(const btf* types, const btf_type* composite, std::string_view path) {
    std::uint64_t base_bits = 0;
    for (;;) {
        const auto dot = path.find('.');
        auto place = MemberSearch(types, path.substr(0, dot)).in(composite, base_bits);
        if (!place || dot == std::string_view::npos)
            return place;
        composite = strip(types, place->type_id);
        if (composite == nullptr || !btf_is_composite(composite))
            return std::nullopt;
        base_bits = place->bits;
        path.remove_prefix(dot + 1);
    }
}

/** Whether the place holds `shape`; a bit field passes when it fills exactly these bytes. */
bool fits(const btf* types, const Place& place, MemberShape shape) {
    if (place.bits % 8 != 0)
        return false;
    const btf_type* type = strip(types, place.type_id);
    if (type == nullptr || btf_is_ptr(type) != shape.pointer)
        return false;
    if (place.bitfield_size != 0)
        return place.bitfield_size == shape.size * 8;
    return btf__resolve_size(types, place.type_id) == shape.size;
}

tl::unexpected<ProfileError> bad_btf(std::string why) {
    return tl::unexpected(ProfileError{ProfileError::Kind::bad_btf, std::move(why)});
}

int stay_silent(libbpf_print_level, const char*, va_list) {
    return 0;
}

} // namespace

void KernelTypes::Free::operator()(btf* types) const {
    btf__free(types);
}

tl::expected<KernelTypes, ProfileError> KernelTypes::parse(ByteView section) {
    if (section.empty() || section.size() > UINT32_MAX)
        return bad_btf("its type information (section .BTF) is empty or too large");
    // What libbpf would print says less than our own error, and would go to stderr of whoever uses this library.
    const auto print = libbpf_set_print(stay_silent);
    btf* types = btf__new(section.data(), static_cast<std::uint32_t>(section.size()));
    libbpf_set_print(print);
    if (libbpf_get_error(types) != 0)
        return bad_btf("its type information (section .BTF) is damaged; copy the image again");
    return KernelTypes(types);
}

tl::expected<std::optional<std::uint32_t>, ProfileError>
KernelTypes::member_offset(std::string_view structure, std::string_view member, MemberShape shape) const {
    std::optional<std::uint32_t> found;
    for (std::uint32_t id = 1; id < btf__type_cnt(types_.get()); ++id) {
        const btf_type* type = btf__type_by_id(types_.get(), id);
        if (!btf_is_struct(type) || name_of(types_.get(), type->name_off) != structure)
            continue;
        const auto place = follow(types_.get(), type, member);
        if (!place)
            continue;
        if (!fits(types_.get(), *place, shape))
            return bad_btf(
                fmt::format("its struct {} has a member {} that is not the {} bytes{} expected: this kernel "
                            "is not supported",
                            structure, member, shape.size, shape.pointer ? " of a pointer" : ""));
        const auto offset = static_cast<std::uint32_t>(place->bits / 8);
        if (found && *found != offset)
            return bad_btf(
                fmt::format("its type information has several struct {} with member {} at offsets {} and {}",
                            structure, member, *found, offset));
        found = offset;
    }
    return found;
}

std::optional<std::uint32_t> KernelTypes::percpu_offset(std::string_view variable) const {
    for (std::uint32_t id = 1; id < btf__type_cnt(types_.get()); ++id) {
        const btf_type* section = btf__type_by_id(types_.get(), id);
        if (!btf_is_datasec(section) || name_of(types_.get(), section->name_off) != kPercpuSection)
            continue;
        const btf_var_secinfo* variables = btf_var_secinfos(section);
        for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
            const btf_type* entry = btf__type_by_id(types_.get(), variables[i].type);
            if (entry != nullptr && btf_is_var(entry) && name_of(types_.get(), entry->name_off) == variable)
                return variables[i].offset;
        }
    }
    return std::nullopt;
}

} // namespace tripod
