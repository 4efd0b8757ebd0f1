/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes every rule of protocol.pml in every state, within bounds: N replicas, of which OLD are the first voters,
 * TERMS, LEN entries, CRASHES. With HAND_OVERS, leaders lay down for a successor; with SNAPSHOTS, replicas start anew
 * from one; with CHANGE, NEW shall become the voters (and the log has no other entries than memberships and no-ops).
 *
 * A rule is taken out by NO_FENCE, NO_ADOPTION, OLD_TERMS (an old term's entry is committed by counting), NO_JOINT
 * (from old to new voters in one step) or AMNESIA (who lost its memory still counts): each must then lead to a
 * violation, or this search sees nothing.
 */
#define STATE
#define WORD byte
#ifdef RESTARTS
#define DURABLE true
#define DISK_STATE
#else
#define DURABLE false
#define DISK_STATE hidden
#endif
#define MEMBERSHIPS 4

#ifdef NO_ADOPTION
#define COUNTS_WORSE true
#else
#define COUNTS_WORSE false
#endif
#ifdef OLD_TERMS
#define COUNTS_OLD_TERMS true
#else
#define COUNTS_OLD_TERMS false
#endif
#ifdef NO_JOINT
#define SKIPS_JOINT true
#else
#define SKIPS_JOINT false
#endif
#ifdef AMNESIA
#define AMNESIA_COUNTS true
#else
#define AMNESIA_COUNTS false
#endif
#ifdef EARLY_VOTE
#define TELLS_EARLY true
#else
#define TELLS_EARLY false
#endif
#ifdef EARLY_LEAD
#define LEADS_EARLY true
#else
#define LEADS_EARLY false
#endif
#ifdef EARLY_ACK
#define ACKS_MEMORY true
#else
#define ACKS_MEMORY false
#endif
#ifdef OWN_MEMORY
#define COUNTS_MEMORY true
#else
#define COUNTS_MEMORY false
#endif
#ifdef DROP_ROTTEN
#define DROPS_ROTTEN true
#else
#define DROPS_ROTTEN false
#endif
#ifdef GO_BACK
#define GOES_BACK true
#else
#define GOES_BACK false
#endif

/* Rows are seen late, so votes may go to a candidate, and logs be granted to a leader, that is none any more. Here
 * they do not: that would shut out whoever reached the voter's log, and raise its term, and nothing else; it can
 * only take possibilities away. */
#define SEEN_STANDING(c, t) (role[c] == CANDIDATE && term[c] == (t))
#define SEEN_LEADING(t) LEADS(t)
#define STOOD(c, t) skip
#define VOTED(v, c, t) skip

/* What had landed before a fence may be acknowledged after it. Here it is acknowledged before, if at all; the leader
 * may look at that as late as it likes. */
#define FENCED(i) skip
#define LANDED(t, f) 0
#define WAS_READ(c, v) false
#define HANDED_OVER(i, k) AT(i, k)

#include "protocol.pml"

byte crashes;
#ifdef RESTARTS
byte restarts;
byte rots;
#endif
hidden int next_;

#if N == 3
#define EACH_REPLICA(rule) rule(0) rule(1) rule(2)
#else
#define EACH_REPLICA(rule) rule(0) rule(1) rule(2) rule(3)
#endif
#if TERMS == 2
#define EACH_TERM(rule) rule(1) rule(2)
#elif TERMS == 3
#define EACH_TERM(rule) rule(1) rule(2) rule(3)
#else
#define EACH_TERM(rule) rule(1) rule(2) rule(3) rule(4)
#endif
#if LEN == 2
#define EACH_INDEX(rule) rule(1) rule(2)
#elif LEN == 3
#define EACH_INDEX(rule) rule(1) rule(2) rule(3)
#else
#define EACH_INDEX(rule) rule(1) rule(2) rule(3) rule(4)
#endif

/* An acknowledgement only allows: so it is given as soon as it can be. */
#define LEADER_HERE (leader[term[me]])
#ifdef RESTARTS
/* Who stops before its new term, or its vote, is on its disk has told nobody, and may as well not have gone there:
 * so both are one step. */
#define KEEP if :: took KEPT -> store_state(me, term[me], voted[me]) :: else fi; ACKNOWLEDGE
#define ACKNOWLEDGE acknowledge(me); tidy()
#else
#define KEEP ACKNOWLEDGE
#define ACKNOWLEDGE if :: LEADS(term[me]) && LEADER_HERE != ID(me) -> complete(term[me], me, s_ /* all of it */) :: else fi; tidy()
#endif
#ifdef EARLY_VOTE
#define KEPT && (role[me] == CANDIDATE || !voted[me])
#elif defined(EARLY_LEAD)
#define KEPT && role[me] != CANDIDATE
#else
#define KEPT
#endif

/* The conditions before the arrows are part of the rules' own guards: they only save trying in vain. */
#define STAND(t)     :: d_step { role[me] != LEADER && t > term[me] -> stand(me, t); KEEP }
#define VOTE(c)      :: d_step { SEEN_STANDING(c, term[c]) && term[c] >= term[me] && me != c -> vote(me, c, term[c]); KEEP } HAND_OVER(c)
#ifdef HAND_OVERS
#define HAND_OVER(c) :: d_step { role[me] == FOLLOWER && leader[term[me]] == ID(me) && term[me] < TERMS && me != c -> next_ = term[me] + 1; vote(me, c, next_); KEEP }
#else
#define HAND_OVER(c)
#endif
#define ADOPT(v)     :: d_step { HAS_VOTE(me, v) -> adopt(me, v, false); tidy() } \
                     :: d_step { HAS_VOTE(me, v) -> adopt(me, v, true); tidy() }
#define FOLLOW(t)    :: d_step { t >= term[me] && LEADS(t) -> follow(me, t); KEEP }
#define LAND(t)      :: d_step { leader[t] != NOBODY && REACHES(t, me) -> land(t, me, false); ACKNOWLEDGE } TEAR(t) COMPLETE(t)
#ifdef CHANGE
#define TEAR(t)
#else
#define TEAR(t)      :: d_step { leader[t] != NOBODY && REACHES(t, me) && length[me] > 0 -> land(t, me, true); tidy() }
#endif
#if defined(CHANGE) || defined(UNTOLD)
#define KNOW(k)
#else
#define KNOW(k)      :: d_step { role[me] != LEADER && k <= length[me] && k > known[me] && k <= agreed -> know(me, k); tidy() }
#endif
#ifdef RESTARTS
#define COMPLETE(t)
#else
#define COMPLETE(t)  :: d_step { LEADS(t) && REACHES(t, me) && acked[t * N + me] < written[t] -> complete(t, me, s_ /* all of it */); tidy() }
#endif
#define COMMIT(k)    :: d_step { role[me] == LEADER && k <= length[me] && k > committed[term[me]] -> commit(me, k); tidy() } KNOW(k) INSTALL(k) STORE(k)
#ifdef SNAPSHOTS
#define INSTALL(k)   :: d_step { role[me] == FOLLOWER && k > known[me] && k <= agreed -> install(me, k); tidy() }
#else
#define INSTALL(k)
#endif
#ifdef GO_BACK
#define STORE(k)     :: d_step { k > known[me] && k <= length[me] -> store_log(me, k); ACKNOWLEDGE } ROT(k)
#else
#define STORE(k)     ROT(k)
#endif
#ifdef ROTS
#define MEET(t)      :: d_step { IN_SET(me, suspect) && LEADS(t) -> meet(me, t); tidy() }
#define ROT(k)       :: d_step { rots < ROTS && k <= disk_length[me] -> rots++; restart(me, k - 1); ACKNOWLEDGE }
#else
#define ROT(k)
#endif

/* Forgets what no rule can ask for any more, so that states which differ in nothing else are one. */
inline tidy() {
    for (p_ : 0 .. N * N - 1) {
        n_ = p_ / N;
        if
        :: term[n_] > vote_term[p_] || term[n_] == vote_term[p_] && role[n_] != CANDIDATE ->
            vote_term[p_] = 0;
            vote_rank[p_] = 0;
            doubted[n_] = doubted[n_] & ~BIT(p_ % N)
        :: else
        fi
    }
    for (p_ : 0 .. N - 1) {
        if
        :: granted[p_] != NOBODY && leader[term[p_]] != granted[p_] && !SEEN_STANDING(granted[p_] - 1, term[p_]) &&
           term[granted[p_] - 1] >= term[p_] ->
            granted[p_] = NOBODY
        :: else
        fi
    }
    for (k_ : 1 .. TERMS) {
        if
        :: leader[k_] != NOBODY && !LEADS(k_) ->
            n_ = 0;
            for (p_ : 0 .. N - 1) {
                acked[k_ * N + p_] = 0;
                n_ = n_ + (ALIVE(p_) && leader[k_] != ID(p_) && REACHES(k_, p_))
            }
            if
            :: n_ == 0 ->
                for (p_ : 1 .. written[k_]) {
                    POSTED(k_, p_) = 0
                }
                written[k_] = 0;
                first[k_] = 0
            :: else
            fi
        :: else
        fi
    }
    took = false
}

/* Whoever stands first is called 0. */
#define BORN (term[0] != 0 || crashes != 0)

active [N] proctype replica() {
    byte me = _pid;
    d_step {
        (BORN || me == 0) ->
        voters[0] = OLD; target[0] = NEW; phase[0] = (NEW != 0 -> CATCHING_UP : STABLE);
        voters[1] = OLD; target[1] = NEW; phase[1] = JOINT;
        voters[2] = NEW; phase[2] = STABLE;
        voters[3] = OLD; phase[3] = STABLE
    }
    do
    EACH_TERM(STAND)
    EACH_REPLICA(VOTE)
    EACH_REPLICA(ADOPT)
    :: d_step { role[me] == CANDIDATE -> lead(me); tidy() }
    EACH_TERM(FOLLOW)
    :: d_step { role[me] == LEADER -> step_down(me, term[me]); KEEP }
#ifndef CHANGE
    :: d_step { role[me] == LEADER && length[me] < LEN -> append(me); tidy() }
#endif
    EACH_TERM(LAND)
    EACH_INDEX(COMMIT)
#ifdef CHANGE
    :: d_step { role[me] == LEADER && length[me] < LEN -> change(me, 1); tidy() }
    :: d_step { role[me] == LEADER && length[me] < LEN -> change(me, 2); tidy() }
    :: d_step { role[me] == LEADER && length[me] < LEN -> change(me, 3); tidy() }
#endif
#ifdef RESTARTS
    :: d_step { length[me] > 0 -> store_log(me, length[me]); ACKNOWLEDGE }
    :: d_step { restarts < RESTARTS && ALIVE(me) && term[me] > 0 -> restarts++; restart(me, disk_length[me]); ACKNOWLEDGE }
#endif
#ifdef ROTS
    EACH_TERM(MEET)
    :: d_step { IN_SET(me, suspect) && owed[me] != 0 -> settle_suspicion(me); tidy() }
#endif
    :: d_step { crashes < CRASHES && ALIVE(me) -> crashes++; lose_memory(me); tidy() }
    od
}
