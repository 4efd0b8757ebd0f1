/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A replica strayed from the log, or a guest did what cannot be logged: noted once, told to dom0, and nothing of the
 * log is applied after it (promise 5).
 */
#include "internal.h"

void tripod_diverge(struct tripod_domain *t, const struct tripod_entry *entry, unsigned int reason,
                    uint64_t expected, uint64_t found)
{
    if ( t->divergence.reason )
        return;
    t->divergence = (struct tripod_divergence){
        .seq = tripod_replaying(t) ? t->replay_seq : t->record_seq,
        .expected = expected,
        .found = found,
        .reason = reason,
        .tid = entry->thread.tid,
        .nr = entry->nr,
    };
    t->control->unfit = reason;
    gprintk(XENLOG_WARNING, "tripod: unfit: reason %u record %" PRIu64 " thread %u call %u: %#" PRIx64
            " expected, %#" PRIx64 " found\n", reason, t->divergence.seq, entry->thread.tid, entry->nr, expected,
            found);
    tripod_notify(t);
}

void tripod_guest_broken(struct tripod_domain *t, unsigned int what, uint32_t tid, unsigned int nr)
{
    const struct tripod_entry entry = { .thread.tid = tid, .nr = nr };

    tripod_diverge(t, &entry, TRIPOD_REASON_guest, 0, what);
    /* The VM goes on, unprotected: its own doing. dom0 is told. */
    if ( tripod_recording(t) )
        t->mode = TRIPOD_MODE_off;
}
