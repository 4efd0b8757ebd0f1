// SPDX-License-Identifier: Apache-2.0
//
// Recovery from a folder of anything: segments that were changed here and there, most of them with checks that fit
// again. Whatever it makes of them, it makes the same twice, and the storage can be used; unless it says that
// sectors whose checks fit contradict each other.
#include "../storage_fake_disk.h"
#include "../storage_model.h"
#include "fuzz_input.h"
#include "storage/disk_format.h"
#include "storage/file_storage_impl.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace rdma_paxos;

namespace {

FileStorageOptions options() {
    return {.folder = "/d", .group = {1, 2}, .self = ReplicaId(3), .segment_bytes = 4096, .queue_bytes = 4096};
}

std::map<std::string, FakeDisk::File> make_log() {
    FakeDisk disk;
    const auto opened = open_file_storage(options(), disk);
    fuzz::must(opened.has_value(), "a log can be made");
    Storage& storage = **opened;
    std::uint64_t end = 0;
    for (std::uint64_t step = 1; step <= 8; ++step) {
        wait_for(storage, storage.store_log(end, pattern(step * 160, static_cast<unsigned>(step))));
        end += step * 160;
        wait_for(storage, storage.store_state({.incarnation = 4, .term = Term(step), .voted_for = ReplicaId(3)}));
        if (step % 4 == 0)
            wait_for(storage, storage.store_base(base_at(end - 800)));
    }
    return disk.files();
}

void seal_again(FakeDisk::File& file, std::uint64_t number, std::uint64_t place) {
    std::byte* sector = file.data() + place * disk::sector_bytes;
    const disk::Identity identity{options().group, options().self};
    const std::uint64_t check =
        place < disk::header_sectors
            ? XXH3_64bits(sector, 504)
            : XXH3_64bits_withSeed(sector, 504, disk::segment_salt(identity, number) + place);
    std::memcpy(sector + 504, &check, 8);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto original = make_log();
    fuzz::Input input(data, size);
    FakeDisk disk;
    std::vector<std::string> names;
    auto files = original;
    std::erase_if(files, [](const auto& file) { return !disk::segment_number(file.first.substr(3)); });
    for (const auto& [path, file] : files)
        names.push_back(path);
    bool forged = false; // sectors that nobody wrote, and whose checks fit
    while (!input.empty()) {
        const std::uint8_t how = input.take<std::uint8_t>();
        const std::string& path = names[how % names.size()];
        FakeDisk::File& file = files[path];
        switch (how / 32) {
        case 0: { // cut off, or longer
            file.resize(input.take<std::uint16_t>() % 16384);
            break;
        }
        case 1: // anything
            input.edit(std::span(file).first(file.size()).empty() ? std::span<std::byte>(file = FakeDisk::File(512))
                                                                  : std::span(file));
            break;
        case 2: { // what another file holds
            file = files[names[input.take<std::uint8_t>() % names.size()]];
            break;
        }
        default: { // a change with a check that fits
            if (file.size() < disk::sector_bytes)
                break;
            const std::uint64_t place = input.take<std::uint8_t>() % (file.size() / disk::sector_bytes);
            const auto sector = std::span(file).subspan(place * disk::sector_bytes, disk::sector_bytes - 8);
            input.edit(sector);
            forged = true;
            seal_again(file, *disk::segment_number(path.substr(3)), place);
        }
        }
    }
    for (const auto& [path, file] : files)
        disk.put(path, file);

    Recovered first;
    StoredModel log;
    {
        const auto opened = open_file_storage(options(), disk);
        fuzz::must(opened.has_value() || forged, "damage is no reason to refuse the folder");
        if (!opened)
            return 0;
        first = (*opened)->recovered();
        log = read_all(**opened);
        if ((*opened)->failure())
            return 0; // nonsense with fitting checks: positions that overflow, for one
    }
    const auto again = open_file_storage(options(), disk);
    fuzz::must(again.has_value(), "what could be opened can be opened again");
    const Recovered& second = (*again)->recovered();
    fuzz::must(second.state == first.state && second.base == first.base,
               "state and base do not change by recovery");
    fuzz::must(second.suspect == first.suspect && second.state_suspect == first.state_suspect, "nor do suspicions");
    fuzz::must(read_all(**again) == log, "nor does the log");
    return 0;
}
