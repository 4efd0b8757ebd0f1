// SPDX-License-Identifier: Apache-2.0
//
// The shared memory object of one replica: header, gates, mailboxes, then the regions that peers may write.
#pragma once

#include "rdma_paxos/rendezvous.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

namespace rdma_paxos {

/// Guards one direction of one link: what a peer may do to the owner of the segment.
struct alignas(64) ShmGate {                  // peers that write at the same time do not share a cache line
    std::atomic<std::uint32_t> holder{0};     ///< process id of the writer inside; 0: none
    std::atomic<std::uint32_t> generation{0}; ///< of the owner's end; 0: closed
    std::atomic<std::uint32_t> remote{0};     ///< generation of the peer's end that may pass
};

/// The newest rendezvous message of one peer. `version` is odd while it is being written.
struct ShmMailbox {
    std::atomic<std::uint64_t> version{0};
    RendezvousMessage message;
};

struct ShmHeader {
    static constexpr std::uint64_t expected_magic = 0x3330584150414d52; // "RMAPAX03"
    static constexpr std::size_t id_count = std::size_t{max_replica_id} + 1;
    std::atomic<std::uint64_t> magic{0}; ///< set last, when everything else is in place
    std::uint64_t nonce = 0;             ///< tells this object from another of the same name
    std::uint64_t total_bytes = 0;
    std::array<std::uint64_t, link_count> region_offset{};
    std::array<std::uint64_t, link_count> region_bytes{};
    std::array<std::array<ShmGate, link_count>, id_count> gates; ///< by the peer's id
    std::array<ShmMailbox, id_count> mailboxes;                  ///< by the sender's id
    std::atomic<std::uint64_t> mail{0};                          ///< bit per sender whose mailbox has news
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);
inline constexpr std::size_t shm_header_bytes = (sizeof(ShmHeader) + 4095) / 4096 * 4096;

std::string shm_name(const GroupId& group, ReplicaId id);

class ShmSegment {
  public:
    /// Creates the object, replacing an older one of the name; removes it in the end.
    static tl::expected<std::unique_ptr<ShmSegment>, Error> create(const std::string& name,
                                                                   const MemoryLayout& layout);
    /// Maps somebody else's; none if it is not there or not ready.
    static std::unique_ptr<ShmSegment> attach(const std::string& name);

    ~ShmSegment();
    ShmSegment(const ShmSegment&) = delete;
    ShmSegment& operator=(const ShmSegment&) = delete;

    ShmHeader& header() const { return *reinterpret_cast<ShmHeader*>(base_); }
    std::span<std::byte> region(Link link) const;

    /// What its memory lies on.
    std::string describe_pages() const;

    /// The nonce of what has this name now; none if nothing has.
    static std::optional<std::uint64_t> nonce_of(const std::string& name);

  private:
    ShmSegment(std::byte* base, std::size_t bytes, std::string owned_name)
        : base_(base), bytes_(bytes), owned_name_(std::move(owned_name)) {}

    std::byte* base_;
    std::size_t bytes_;
    std::string owned_name_; ///< empty: attached only
};

} // namespace rdma_paxos
