// SPDX-License-Identifier: Apache-2.0
#include "sim/command.h"

#include <cstring>

namespace rdma_paxos::sim {

namespace {

struct Image {
    std::uint64_t id, argument, expected;
    std::uint8_t action, key;
    std::array<std::uint8_t, 6> none;
    std::uint64_t length;
};
static_assert(sizeof(Image) == smallest_command);

// Not zero anywhere: memory that was never written cannot pass for a body.
std::uint64_t filling(std::uint64_t id, std::size_t at) {
    return ((id * 0x9e3779b97f4a7c15u) ^ (at * 0xc2b2ae3d27d4eb4fu)) | 0x0101010101010101u;
}

} // namespace

void encode(const Command& command, std::span<std::byte> body) {
    const Image image{
        command.id, command.argument, command.expected, static_cast<std::uint8_t>(command.action), command.key,
        {},         body.size()};
    std::memcpy(body.data(), &image, sizeof image);
    for (std::size_t at = sizeof image; at < body.size(); at += 8) {
        const std::uint64_t word = filling(command.id, at);
        std::memcpy(body.data() + at, &word, std::min<std::size_t>(8, body.size() - at));
    }
}

std::optional<Command> decode(Bytes body) {
    Image image;
    if (body.size() < sizeof image)
        return std::nullopt;
    std::memcpy(&image, body.data(), sizeof image);
    if (image.length != body.size() || image.id == 0 || image.key >= register_count ||
        image.action > static_cast<std::uint8_t>(Action::bulk))
        return std::nullopt;
    for (std::size_t at = sizeof image; at < body.size(); at += 8) {
        const std::uint64_t word = filling(image.id, at);
        if (std::memcmp(body.data() + at, &word, std::min<std::size_t>(8, body.size() - at)) != 0)
            return std::nullopt;
    }
    return Command{image.id, static_cast<Action>(image.action), image.key, image.argument, image.expected};
}

std::uint64_t Registers::apply(const Command& command) {
    std::uint64_t& present = value[command.key];
    const std::uint64_t was = present;
    switch (command.action) {
    case Action::read:
        return was;
    case Action::write:
        present = command.argument;
        break;
    case Action::cas:
        if (was == command.expected)
            present = command.argument;
        return was;
    case Action::bulk:
        break;
    }
    return 0;
}

} // namespace rdma_paxos::sim
