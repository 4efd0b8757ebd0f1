// SPDX-License-Identifier: Apache-2.0
//
// Where a durable replica keeps its log across restarts. A replica that is given one acknowledges, votes and
// commits only what its storage has reported as durable.
//
// Threading: used by the replica's thread only. No call blocks, except those that open or recover.
// Order: what is stored first becomes durable first.
#pragma once

#include "rdma_paxos/snapshot.h"

#include <memory>
#include <tl/expected.hpp>

namespace rdma_paxos {

/// Names an entry: whoever holds one of this index and term holds the same one, and the same before it.
struct EntryId {
    Index index; ///< 0: none
    Term term;
    friend bool operator==(const EntryId&, const EntryId&) = default;
};

/// What a replica must remember besides its log.
struct HardState {
    std::uint64_t incarnation = 0; ///< 0: none yet
    Term term;
    ReplicaId voted_for; ///< in `term`
    /// Of the newest membership in the log on this disk that says anew who decides: its entry or, after a state was
    /// installed, that state's last one. Stored after the entry and acknowledged with it, so that who loses the
    /// entry knows it.
    EntryId membership{};
    std::uint64_t ring_bytes =
        0; ///< of the replica that stored the log: at its ring's end the log has gaps. 0: none
    friend bool operator==(const HardState&, const HardState&) = default;
};

/// What was found on disk.
struct Recovered {
    bool fresh = true;  ///< nothing was stored before
    HardState state;    ///< the newest
    SnapshotPoint base; ///< the log that can be read back begins behind it
    /// Some bytes at or behind the readable end could not be read: a write that the crash tore, or rot. Entries
    /// there may have been acknowledged, so this replica alone does not speak for them.
    bool suspect = false;
    /// A newer term or vote than `state` may have been stored and acted upon. A replica that votes on after this
    /// may vote twice in a term: it must come back as another incarnation, like one without memory. Until a state
    /// is stored, every recovery says so again.
    bool state_suspect = false;
    std::string report; ///< for people: what was found, what was wrong and where. Empty if nothing is of note.
};

/// Counts what was handed to a storage. 0: it was not taken (the queue is full): offer it again later.
using Ticket = std::uint64_t;

class Storage {
  public:
    virtual ~Storage() = default;

    virtual const Recovered& recovered() const = 0;

    /// A stretch of whole entries as they lay in the ring of the replica that stored them.
    struct Stretch {
        std::uint64_t position = 0;
        Bytes bytes; ///< valid until the next call
    };
    /// Reads the stored log back, in the order in which it was stored: a stretch that begins before the end of the
    /// one before it replaces all that followed. None: that was all. Only before the first store_*().
    virtual std::optional<Stretch> read_back() = 0;

    /// Takes a copy of whole entries that stand at `position`; supersedes whatever was stored at or behind it.
    virtual Ticket store_log(std::uint64_t position, Bytes bytes) = 0;
    virtual Ticket store_state(const HardState& state) = 0;
    /// The log before that point is not needed any more. With a position behind everything stored, the log starts
    /// anew there (a state was installed).
    virtual Ticket store_base(const SnapshotPoint& point) = 0;

    /// After a recovery with a suspect log: everything that the group had committed is stored here again, so the
    /// next recovery need not suspect the log for what happened before. Until then, every recovery does.
    virtual Ticket store_repaired() { return durable(); }

    /// Everything up to this ticket is on disk.
    virtual Ticket durable() = 0;

    /// Set once, for good: the device is full, gone, or refused a write. Nothing becomes durable from then on.
    virtual const std::optional<Error>& failure() const = 0;

    /// Becomes readable when durable() may have grown; -1: poll. Reading durable() clears it.
    virtual int event_fd() const { return -1; }
};

} // namespace rdma_paxos
