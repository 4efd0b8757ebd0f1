/* SPDX-License-Identifier: GPL-2.0-only */
/* From one mode to another: what begins anew, and what goes on. The domain is paused. */
#include "internal.h"

long tripod_set_mode(struct tripod_domain *t, uint32_t mode, uint64_t next_seq)
{
    uint32_t i;

    switch ( mode )
    {
    case TRIPOD_MODE_record:
    case TRIPOD_MODE_trace:
    case TRIPOD_MODE_replay:
        if ( !t->have_profile )
            return -ENODATA;
        /* Calls that began before are not in the log that begins now. */
        for ( i = 0; i < t->pending_count; i++ )
        {
            if ( t->pending[i].state == TRIPOD_PENDING_native || t->pending[i].state == TRIPOD_PENDING_restart ||
                 t->pending[i].state == TRIPOD_PENDING_mirrored )
                t->pending[i].state = TRIPOD_PENDING_passing;
            t->pending[i].exposed = false;
        }
        t->exposed = 0;
        memset(t->processes, 0, sizeof(t->processes));
        memset(t->clocks, 0, sizeof(t->clocks));
        t->divergence = (struct tripod_divergence){};
        t->control->unfit = 0;
        t->record_prod = t->replay_cons = 0;
        t->record_seq = t->replay_seq = next_seq;
        t->notified_seq = 0;
        t->retries = 0;
        t->control->record_prod = t->control->replay_cons = 0;
        t->control->record_cons = t->control->replay_prod = 0;
        t->control->record_seq = t->control->replay_seq = next_seq;
        t->control->exposed = 0;
        t->control->notify_seq = 0;
        t->control->gate_full = 0;
        break;

    case TRIPOD_MODE_live:
        if ( !tripod_replaying(t) )
            return -EINVAL;
        break;

    case TRIPOD_MODE_off:
    case TRIPOD_MODE_hold:
        break;

    default:
        return -EINVAL;
    }
    t->mode = mode;
    t->notified = false;
    tripod_wake_all(t);
    return 0;
}
