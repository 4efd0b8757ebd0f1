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

/* Rows are seen late, so votes may go to a candidate, and logs be granted to a leader, that is none any more. Here
 * they do not: that would shut out whoever reached the voter's log, and raise its term, and nothing else; it can
 * only take possibilities away. */
#define SEEN_STANDING(c, t) (role[c] == CANDIDATE && term[c] == (t))
#define SEEN_LEADING(t) LEADS(t)
#define STOOD(c, t) skip

/* What had landed before a fence may be acknowledged after it. Here it is acknowledged before, if at all; the leader
 * may look at that as late as it likes. */
#define FENCED(i) skip
#define LANDED(t, f) 0

#include "protocol.pml"

byte crashes;
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

/* The conditions before the arrows are part of the rules' own guards: they only save trying in vain. */
#define STAND(t)     :: d_step { role[me] != LEADER && t > term[me] -> stand(me, t); tidy() }
#define VOTE(c)      :: d_step { SEEN_STANDING(c, term[c]) && term[c] >= term[me] && me != c -> vote(me, c, term[c]); tidy() } HAND_OVER(c)
#ifdef HAND_OVERS
#define HAND_OVER(c) :: d_step { role[me] == FOLLOWER && leader[term[me]] == ID(me) && term[me] < TERMS && me != c -> next_ = term[me] + 1; vote(me, c, next_); tidy() }
#else
#define HAND_OVER(c)
#endif
#define ADOPT(v)     :: d_step { HAS_VOTE(me, v) -> adopt(me, v, false); tidy() } \
                     :: d_step { HAS_VOTE(me, v) -> adopt(me, v, true); tidy() }
#define FOLLOW(t)    :: d_step { t >= term[me] && LEADS(t) -> follow(me, t); tidy() }
#define LAND(t)      :: d_step { leader[t] != NOBODY && REACHES(t, me) -> land(t, me, false); tidy() } \
                     :: d_step { LEADS(t) && REACHES(t, me) && acked[t * N + me] < written[t] -> complete(t, me, s_ /* all of it */); tidy() } TEAR(t)
#ifdef CHANGE
#define TEAR(t)
#define KNOW(k)
#else
#define TEAR(t)      :: d_step { leader[t] != NOBODY && REACHES(t, me) && length[me] > 0 -> land(t, me, true); tidy() }
#define KNOW(k)      :: d_step { role[me] != LEADER && k <= length[me] && k > known[me] && k <= agreed -> know(me, k); tidy() }
#endif
#define COMMIT(k)    :: d_step { role[me] == LEADER && k <= length[me] && k > committed[term[me]] -> commit(me, k); tidy() } KNOW(k) INSTALL(k)
#ifdef SNAPSHOTS
#define INSTALL(k)   :: d_step { role[me] == FOLLOWER && k > known[me] && k <= agreed -> install(me, k); tidy() }
#else
#define INSTALL(k)
#endif

/* Forgets what no rule can ask for any more, so that states which differ in nothing else are one. */
inline tidy() {
    for (p_ : 0 .. N * N - 1) {
        n_ = p_ / N;
        if
        :: term[n_] > vote_term[p_] || term[n_] == vote_term[p_] && role[n_] != CANDIDATE ->
            vote_term[p_] = 0;
            vote_rank[p_] = 0
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
    :: d_step { role[me] == LEADER -> step_down(me, term[me]); tidy() }
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
    :: d_step { crashes < CRASHES && ALIVE(me) -> crashes++; lose_memory(me); tidy() }
    od
}
