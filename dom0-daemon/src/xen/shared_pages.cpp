// SPDX-License-Identifier: Apache-2.0
#include "xen/shared_pages.h"

#include <array>
#include <cerrno>
#include <sys/mman.h>

// C headers that do not say so.
extern "C" {
#include <xenforeignmemory.h>
}

namespace tripod::xen {

namespace {

constexpr size_t page_bytes = 4096;

class MappedPages final : public SharedPages {
  public:
    explicit MappedPages(xenforeignmemory_handle* handle) : handle_(handle) {}
    ~MappedPages() override {
        for (auto* resource : resources_)
            if (resource != nullptr)
                xenforeignmemory_unmap_resource(handle_, resource);
        xenforeignmemory_close(handle_);
    }
    MappedPages(const MappedPages&) = delete;
    MappedPages& operator=(const MappedPages&) = delete;

    const SharedMemory& memory() const override { return memory_; }

    Result<void> map(DomId domain, uint32_t ring_pages) {
        auto control = map_one(domain, TRIPOD_RESOURCE_control, 1);
        if (!control)
            return tl::unexpected(control.error());
        memory_.control = reinterpret_cast<tripod_control*>(control->data());
        if (memory_.control->magic != TRIPOD_CONTROL_MAGIC ||
            memory_.control->version != TRIPOD_INTERFACE_VERSION ||
            memory_.control->ring_bytes != ring_pages * page_bytes)
            return tl::unexpected(Error{EPROTO, "Xen's control page is not laid out as this daemon expects"});
        auto record = map_one(domain, TRIPOD_RESOURCE_record, ring_pages);
        if (!record)
            return tl::unexpected(record.error());
        memory_.record = *record;
        auto replay = map_one(domain, TRIPOD_RESOURCE_replay, ring_pages);
        if (!replay)
            return tl::unexpected(replay.error());
        memory_.replay = *replay;
        return {};
    }

  private:
    Result<std::span<std::byte>> map_one(DomId domain, unsigned id, size_t pages) {
        void* address = nullptr;
        auto* resource =
            xenforeignmemory_map_resource(handle_, static_cast<domid_t>(number(domain)), XENMEM_resource_tripod, id,
                                          0, pages, &address, PROT_READ | PROT_WRITE, 0);
        if (resource == nullptr)
            return tl::unexpected(
                errno_error("map the pages shared with Xen for domain " + std::to_string(number(domain))));
        resources_.at(id) = resource;
        return std::span(static_cast<std::byte*>(address), pages * page_bytes);
    }

    xenforeignmemory_handle* handle_;
    std::array<xenforeignmemory_resource_handle*, 3> resources_{};
    SharedMemory memory_;
};

} // namespace

Result<std::unique_ptr<SharedPages>> map_shared_pages(DomId domain, uint32_t ring_pages) {
    auto* handle = xenforeignmemory_open(nullptr, 0);
    if (handle == nullptr)
        return tl::unexpected(errno_error("open Xen's foreign memory device"));
    auto pages = std::make_unique<MappedPages>(handle);
    if (auto mapped = pages->map(domain, ring_pages); !mapped)
        return tl::unexpected(mapped.error());
    return pages;
}

} // namespace tripod::xen
