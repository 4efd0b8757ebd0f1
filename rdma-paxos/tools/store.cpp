// SPDX-License-Identifier: Apache-2.0
#include "../tools/store.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rdma_paxos::tools {

namespace {

/// All integers are little-endian, as is every machine this is built for.
struct CommandBytes {
    std::uint8_t version;
    std::uint8_t kind;
    std::uint16_t zero;
    std::uint32_t key;
    std::uint64_t argument, expected, origin, sequence;
};
static_assert(sizeof(CommandBytes) == 40);

struct StateBytes {
    char magic[4]; // "RPKV"
    std::uint32_t version;
    std::uint64_t digest, entries;
    std::uint64_t registers; // so many {key, value} of 16 bytes follow, then the XXH3 of everything before it
};
static_assert(sizeof(StateBytes) == 32);

struct RegisterBytes {
    std::uint64_t key, value;
};

constexpr std::uint8_t command_version = 1;
constexpr std::uint32_t state_version = 1;

template <class T>
void append(std::vector<std::byte>& out, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

} // namespace

std::vector<std::byte> encode(const Command& command) {
    std::vector<std::byte> bytes;
    append(bytes, CommandBytes{command_version, static_cast<std::uint8_t>(command.kind), 0, command.key,
                               command.argument, command.expected, command.origin, command.sequence});
    return bytes;
}

std::optional<Command> decode_command(Bytes body) {
    CommandBytes bytes{};
    if (body.size() != sizeof bytes)
        return std::nullopt;
    std::memcpy(&bytes, body.data(), sizeof bytes);
    if (bytes.version != command_version || bytes.kind > static_cast<std::uint8_t>(OperationKind::compare_and_set))
        return std::nullopt;
    return Command{static_cast<OperationKind>(bytes.kind),
                   bytes.key,
                   bytes.argument,
                   bytes.expected,
                   bytes.origin,
                   bytes.sequence};
}

void Store::skip(Index index, Bytes body) {
    digest_ = XXH3_64bits_withSeed(body.data(), body.size(), digest_ ^ index.value());
    ++entries_;
}

Value Store::apply(Index index, Bytes body, const Command& command) {
    skip(index, body);
    const Value found = get(command.key);
    if (command.kind == OperationKind::write ||
        (command.kind == OperationKind::compare_and_set && found == command.expected))
        values_[command.key] = command.argument;
    return found;
}

Value Store::get(std::uint32_t key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? 0 : found->second;
}

std::vector<std::byte> Store::save() const {
    std::vector<std::byte> bytes;
    append(bytes, StateBytes{{'R', 'P', 'K', 'V'}, state_version, digest_, entries_, values_.size()});
    for (const auto& [key, value] : values_)
        append(bytes, RegisterBytes{key, value});
    append(bytes, std::uint64_t{XXH3_64bits(bytes.data(), bytes.size())});
    return bytes;
}

bool Store::restore(Bytes bytes) {
    StateBytes header{};
    std::uint64_t check = 0;
    if (bytes.size() < sizeof header + sizeof check)
        return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::size_t room = bytes.size() - sizeof header - sizeof check;
    if (std::memcmp(header.magic, "RPKV", 4) != 0 || header.version != state_version ||
        header.registers != room / sizeof(RegisterBytes) || room % sizeof(RegisterBytes) != 0)
        return false;
    std::memcpy(&check, bytes.data() + bytes.size() - sizeof check, sizeof check);
    if (check != XXH3_64bits(bytes.data(), bytes.size() - sizeof check))
        return false;
    values_.clear();
    for (std::size_t i = 0; i < header.registers; ++i) {
        RegisterBytes entry{};
        std::memcpy(&entry, bytes.data() + sizeof header + i * sizeof entry, sizeof entry);
        values_[static_cast<std::uint32_t>(entry.key)] = entry.value;
    }
    digest_ = header.digest;
    entries_ = header.entries;
    return true;
}

} // namespace rdma_paxos::tools
