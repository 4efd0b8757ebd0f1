/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mode live: a backup's own clocks may be behind what its processes were told in replay. Each clock is then shifted,
 * once and for good, so that it goes on from the last reading in the log and never runs backwards.
 */
#include "internal.h"

#define NR_gettimeofday  96
#define NR_clock_gettime 228
#define CLOCK_REALTIME_  0

#define SECOND_NS 1000000000LL
#define MOST_SECONDS (1LL << 32)    /* the year 2106; the sum of two such readings still fits */

/* Which clock a call reads, and where to; false when it is none of ours. */
static bool clock_call(unsigned int nr, const uint64_t args[], unsigned int *clock, uint64_t *address, int64_t *unit_ns)
{
    if ( nr == NR_clock_gettime && args[0] < TRIPOD_CLOCKS )
    {
        *clock = args[0];
        *address = args[1];
        *unit_ns = 1;
        return true;
    }
    if ( nr == NR_gettimeofday )
    {
        *clock = CLOCK_REALTIME_;
        *address = args[0];
        *unit_ns = 1000;
        return true;
    }
    return false;
}

/* The guest can write what it likes there: false for what no clock shows. */
static bool reading_to_ns(const int64_t reading[2], int64_t unit_ns, int64_t *ns)
{
    if ( reading[0] < 0 || reading[0] >= MOST_SECONDS || reading[1] < 0 || reading[1] >= SECOND_NS / unit_ns )
        return false;
    *ns = reading[0] * SECOND_NS + reading[1] * unit_ns;
    return true;
}

bool tripod_clock_wanted(const struct tripod_domain *t, unsigned int nr)
{
    return nr == NR_clock_gettime || nr == NR_gettimeofday;
}

void tripod_clock_learn(struct tripod_domain *t, const struct tripod_record *record)
{
    const struct tripod_segment *segment;
    const int64_t *reading;
    unsigned int clock;
    uint64_t address;
    int64_t unit_ns;

    if ( record->result != 0 || !clock_call(record->nr, record->arg, &clock, &address, &unit_ns) )
        return;
    segment = tripod_segment_find(record, TRIPOD_SEG_arg, 2 * sizeof(*reading));
    if ( !segment )
        return;
    reading = (const void *)(segment + 1);
    if ( !reading_to_ns(reading, unit_ns, &t->clocks[clock].last_ns) )
        return;
    t->clocks[clock].known = true;
    t->clocks[clock].decided = false;
}

void tripod_clock_correct(struct tripod_domain *t, const struct tripod_pending *p, int64_t result)
{
    unsigned int clock;
    uint64_t address;
    int64_t unit_ns, now_ns, reading[2];

    if ( result != 0 || !clock_call(p->nr, p->args, &clock, &address, &unit_ns) || !address ||
         !t->clocks[clock].known || tripod_from_user(t, reading, address, sizeof(reading)) != TRIPOD_GO ||
         !reading_to_ns(reading, unit_ns, &now_ns) )
        return;
    if ( !t->clocks[clock].decided )
    {
        t->clocks[clock].offset_ns = max_t(int64_t, 0, t->clocks[clock].last_ns + unit_ns - now_ns);
        t->clocks[clock].decided = true;
    }
    if ( !t->clocks[clock].offset_ns )
        return;
    now_ns += t->clocks[clock].offset_ns;
    reading[0] = now_ns / SECOND_NS;
    reading[1] = now_ns % SECOND_NS / unit_ns;
    (void)tripod_to_user(t, address, reading, sizeof(reading));
}
