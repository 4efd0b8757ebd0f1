/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol of rdma-paxos as rules over memory: election, fencing, adoption, replication, change of membership.
 *
 * One inline per rule. A rule tries to be taken: it sets `took`, and changes the state only if its guard holds.
 * Two drivers use these rules and no others: search.pml takes every rule in every state that the bounds allow,
 * replay.pml takes the steps that a run of the program reported. What is left out, and why that is sound, is in
 * docs/consensus.md, "Model".
 *
 * Bounds: N replicas (an incarnation each), TERMS terms, LEN entries. Replica i is bit 1 << i of a set; where
 * "nobody" is possible, it is i + 1. Indices of entries and terms begin at 1.
 */

#define FOLLOWER  0
#define CANDIDATE 1
#define LEADER    2

#define STABLE      0 /* phases of a membership, as in rdma_paxos/membership.h */
#define CATCHING_UP 1
#define JOINT       2

/* ---- State ---- */

STATE byte role[N];
STATE WORD term[N];
STATE byte voted[N];            /* in this term */
STATE byte granted[N];          /* who may write this log, in this term */
STATE WORD length[N];
STATE WORD entry[N * LEN];      /* the log in a replica's memory */
STATE WORD known[N];            /* up to where a replica knows its log to be committed */
STATE WORD base[N];             /* up to where it has a snapshot instead of a log */
STATE int lost = 0;             /* whose memory is gone */
STATE WORD vote_term[N * N];    /* [c * N + v]: c knows that v voted for it in this term, */
STATE WORD vote_rank[N * N];    /* and that its log then ended so */

/* A leadership is known by its term. Its log is kept apart from its leader's: what was posted may land later. */
STATE byte leader[TERMS + 1];
STATE WORD first[TERMS + 1];    /* index of its no-op */
STATE WORD written[TERMS + 1];  /* how long its log is */
STATE WORD posted[(TERMS + 1) * LEN];
STATE WORD acked[(TERMS + 1) * N]; /* completions: up to where they say that the log of f is that of the leadership */
STATE WORD committed[TERMS + 1];  /* up to where it has committed */

/* What anybody ever committed. No rule asks for it; the invariants do. */
STATE WORD agreed;
STATE WORD agreed_entry[LEN];

#ifdef NO_FENCE
STATE int unfenced[N];          /* earlier terms that still reach this log: bit 1 << term */
#endif

/* Memberships by number; 0 is the founding one, and in an entry it means: none. */
hidden byte phase[MEMBERSHIPS];
hidden int voters[MEMBERSHIPS];
hidden int target[MEMBERSHIPS];

/* ---- Words ---- */

#define NOBODY 0
#define ID(i) ((i) + 1)
#define BIT(i) (1 << (i))
#define ENTRY(t, m) ((m) * (TERMS + 1) + (t))
#define TERM_OF(e) ((e) % (TERMS + 1))
#define MEMBERSHIP_OF(e) ((e) / (TERMS + 1))
#define AT(i, k) entry[(i) * LEN + (k) - 1]
#define POSTED(t, k) posted[(t) * LEN + (k) - 1]
#define ALIVE(i) ((lost & BIT(i)) == 0)
#define HAS_VOTE(c, v) (vote_term[(c) * N + (v)] != 0 && vote_term[(c) * N + (v)] == term[c])
#define LEADS(t) (leader[t] != NOBODY && role[leader[t] - 1] == LEADER && term[leader[t] - 1] == (t))

/* What a rule works with. Not part of the state: every rule sets these before it reads them. */
hidden byte took;
hidden int k_, m_, m_at, s_, n_, p_, rank_;

/* rank_: how replica i's log ends. A higher last term wins, then the longer log. */
inline rank_of(i) {
    if
    :: length[i] == 0 -> rank_ = 0
    :: else -> rank_ = TERM_OF(AT(i, length[i])) * (LEN + 1) + length[i]
    fi
}

/* m_: the membership in effect at replica i, committed or not; m_at: its index. */
inline membership_of(i) {
    m_at = length[i];
    do
    :: m_at > 0 && MEMBERSHIP_OF(AT(i, m_at)) == 0 -> m_at--
    :: else -> break
    od;
    if
    :: m_at > 0 -> m_ = MEMBERSHIP_OF(AT(i, m_at))
    :: else -> m_ = 0
    fi
}

inline majority_of(members) { /* s_ becomes: is s_ a majority of them? */
    n_ = 0;
    for (p_ : 0 .. N - 1) {
        n_ = n_ + ((members >> p_) & 1) * (((s_ >> p_) & 1) * 2 - 1)
    }
}

#define IN_SET(i, set) (((set) >> (i)) & 1)
#define IS_VOTER(i) (IN_SET(i, voters[m_]) || (phase[m_] == JOINT && IN_SET(i, target[m_])))

/* n_ > 0: the replicas s_ decide under membership m_. */
inline quorum() {
    majority_of(voters[m_]);
    if
    :: n_ > 0 && phase[m_] == JOINT -> majority_of(target[m_])
    :: else
    fi
}

/* n_: the newest term that anybody has seen. */
inline newest_term() {
    n_ = 0;
    for (p_ : 0 .. N - 1) {
        if
        :: term[p_] > n_ -> n_ = term[p_]
        :: else
        fi
    }
}

/* k_: the first index at which the log of replica i is not that of the leadership t. */
inline first_difference(t, i) {
    k_ = 1;
    do
    :: k_ <= length[i] && k_ <= written[t] && AT(i, k_) == POSTED(t, k_) -> k_++
    :: else -> break
    od
}

/* The log of i ends before k_. What i knows to be committed stays. */
inline cut(i) {
    assert(k_ > known[i]);
    for (p_ : k_ .. length[i]) {
        AT(i, p_) = 0
    }
    length[i] = k_ - 1
}

/* The entry `e` comes to lie at k_. The checksum chain makes all that lay behind it void. */
inline put(i, e) {
    cut(i);
    AT(i, k_) = e;
    length[i] = k_
}

#ifdef NO_FENCE
#define FENCE(i) unfenced[i] = unfenced[i] | BIT(term[i])
#define REACHES(t, i) (term[i] == (t) && granted[i] == leader[t] || ((unfenced[i] >> (t)) & 1))
#else
#define FENCE(i) FENCED(i) /* from then on nobody REACHES the log but the one it is granted to */
#define REACHES(t, i) (term[i] == (t) && granted[i] == leader[t])
#endif

/* ---- Election ---- */

/* c becomes a candidate of term t, which is at most one beyond what anybody has seen. */
inline stand(c, t) {
    took = false;
    newest_term();
    membership_of(c);
    if
    :: ALIVE(c) && role[c] != LEADER && t > term[c] && t <= n_ + 1 && IS_VOTER(c) ->
        took = true;
        FENCE(c);
        role[c] = CANDIDATE;
        term[c] = t;
        voted[c] = true;
        granted[c] = ID(c);
        STOOD(c, t)
    :: else
    fi
}

/* v votes for c in term t: it shuts everybody else out, and says how its log ends. A leader that lays down its
 * office votes for its successor in the next term before that one stands. */
inline vote(v, c, t) {
    took = false;
    if
    :: ALIVE(v) && v != c && role[v] != LEADER && (SEEN_STANDING(c, t) || leader[t - 1] == ID(v)) &&
       (t > term[v] || t == term[v] && !voted[v]) ->
        took = true;
        FENCE(v);
        rank_of(v);
        role[v] = FOLLOWER;
        term[v] = t;
        voted[v] = true;
        granted[v] = ID(c);
        if
        :: t > term[c] || t == term[c] && role[c] == CANDIDATE ->
            vote_term[c * N + v] = t;
            vote_rank[c * N + v] = rank_
        :: else
        fi
    :: else
    fi
}

/* Candidate c READs, over its own log, the next entry of a voter whose log is better. With `torn`, only as much of
 * it as to spoil what lay there. */
inline adopt(c, v, torn) {
    took = false;
    if
    :: ALIVE(c) && ALIVE(v) && role[c] == CANDIDATE && HAS_VOTE(c, v) && term[v] == term[c] &&
       granted[v] == ID(c) ->
        rank_of(c);
        n_ = rank_;
        rank_of(v);
        if
        :: rank_ > n_ ->
            k_ = 1;
            do
            :: k_ <= length[c] && k_ <= length[v] && AT(c, k_) == AT(v, k_) -> k_++
            :: else -> break
            od;
            if
            :: torn && k_ <= length[c] -> took = true; cut(c)
            :: !torn && k_ <= length[v] -> took = true; put(c, AT(v, k_))
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

/* c leads, with the votes of a majority whose logs are no better than its own, and writes its first entry. */
inline lead(c) {
    took = false;
    if
    :: ALIVE(c) && role[c] == CANDIDATE && length[c] < LEN ->
        rank_of(c);
        s_ = BIT(c);
        for (p_ : 0 .. N - 1) {
            if
            :: HAS_VOTE(c, p_) && (COUNTS_WORSE || vote_rank[c * N + p_] <= rank_) ->
                s_ = s_ | BIT(p_)
            :: else
            fi
        }
        membership_of(c);
        quorum();
        if
        :: n_ > 0 ->
            took = true;
            assert(leader[term[c]] == NOBODY); /* one leader per term */
            role[c] = LEADER;
            leader[term[c]] = ID(c);
            for (k_ : 1 .. length[c]) {
                POSTED(term[c], k_) = AT(c, k_)
            }
            written[term[c]] = length[c];
            first[term[c]] = length[c] + 1;
            write(c, ENTRY(term[c], 0));
            for (p_ : 1 .. term[c] - 1) { /* a leader has everything that earlier leaders committed */
                for (k_ : 1 .. committed[p_]) {
                    assert(k_ < first[term[c]] && AT(c, k_) == agreed_entry[k_ - 1])
                }
            }
        :: else
        fi
    :: else
    fi
}

/* f accepts the leader of term t. */
inline follow(f, t) {
    took = false;
    if
    :: ALIVE(f) && SEEN_LEADING(t) && leader[t] != ID(f) &&
       (t > term[f] || t == term[f] && granted[f] != leader[t]) ->
        took = true;
        FENCE(f);
        if
        :: t > term[f] -> voted[f] = false
        :: else
        fi;
        role[f] = FOLLOWER;
        term[f] = t;
        granted[f] = leader[t]
    :: else
    fi
}

/* A leader gives up, and may go on to a later term, which it has seen or which it hands over to a successor. */
inline step_down(l, t) {
    took = false;
    newest_term();
    if
    :: ALIVE(l) && role[l] != CANDIDATE && leader[term[l]] == ID(l) && t >= term[l] && t <= n_ + 1 ->
        took = true;
        FENCE(l);
        if
        :: t > term[l] -> voted[l] = false
        :: else
        fi;
        role[l] = FOLLOWER;
        term[l] = t;
        granted[l] = NOBODY
    :: else
    fi
}

/* ---- Replication ---- */

inline write(l, e) {
    length[l]++;
    AT(l, length[l]) = e;
    written[term[l]]++;
    POSTED(term[l], written[term[l]]) = e
}

inline append(l) {
    took = false;
    if
    :: ALIVE(l) && role[l] == LEADER && length[l] < LEN -> took = true; write(l, ENTRY(term[l], 0))
    :: else
    fi
}

/* The next entry that the leadership t posted to f lands there, or as much of it as to spoil what lay there. The
 * leader need not lead, or live, any more. What lands where f has a snapshot by now is void: not even looked at. */
inline land(t, f, torn) {
    took = false;
    if
    :: ALIVE(f) && leader[t] != NOBODY && leader[t] != ID(f) && REACHES(t, f) ->
        first_difference(t, f);
        if
        :: torn && k_ > base[f] && k_ <= length[f] && k_ <= written[t] -> took = true; cut(f)
        :: !torn && k_ > base[f] && k_ <= written[t] -> took = true; put(f, POSTED(t, k_)); log_matching(f)
        :: else
        fi
    :: else
    fi
}

/* The fabric acknowledges that everything up to `k` has landed. When the leader looks at that is another matter:
 * commit. */
inline complete(t, f, k) {
    took = false;
    if
    :: ALIVE(f) && LEADS(t) && leader[t] != ID(f) && (REACHES(t, f) || LANDED(t, f) > 0) ->
        first_difference(t, f);
        s_ = (k_ <= base[f] -> written[t] : k_ - 1); /* has landed */
        if
        :: k > acked[t * N + f] && (REACHES(t, f) && k <= s_ || k <= LANDED(t, f)) ->
            took = true;
            acked[t * N + f] = k
        :: else
        fi
    :: else
    fi
}

/* Leader l finds that completions commit everything up to `k`. */
inline commit(l, k) {
    took = false;
    if
    :: ALIVE(l) && role[l] == LEADER && k > committed[term[l]] && k <= length[l] &&
       (COUNTS_OLD_TERMS || k >= first[term[l]]) ->
        s_ = BIT(l);
        for (p_ : 0 .. N - 1) {
            if
            :: acked[term[l] * N + p_] >= k -> s_ = s_ | BIT(p_)
            :: else
            fi
        }
        membership_of(l);
        quorum();
        if
        :: n_ > 0 ->
            took = true;
            committed[term[l]] = k;
            known[l] = k;
            for (k_ : 1 .. k) {
                assert(k_ > agreed || AT(l, k_) == agreed_entry[k_ - 1]); /* what is committed stays */
                agreed_entry[k_ - 1] = AT(l, k_)
            }
            if
            :: k > agreed -> agreed = k
            :: else
            fi;
            later_leaders(term[l])
        :: else
        fi
    :: else
    fi
}

/* f learns that everything up to `k` is committed: from the leader of a term of which its log has an entry at k or
 * behind it. */
inline know(f, k) {
    took = false;
    if
    :: ALIVE(f) && role[f] != LEADER && k > known[f] && k <= length[f] ->
        p_ = k;
        do
        :: p_ <= length[f] && committed[TERM_OF(AT(f, p_))] < k -> p_++
        :: else -> break
        od;
        if
        :: p_ <= length[f] ->
            took = true;
            known[f] = k;
            for (k_ : 1 .. k) {
                assert(k_ <= agreed && AT(f, k_) == agreed_entry[k_ - 1])
            }
        :: else
        fi
    :: else
    fi
}

/* f starts anew from a snapshot at `k`, which is committed. What stands behind it in its log stays there if the log
 * leads through the snapshot. */
inline install(f, k) {
    took = false;
    if
    :: ALIVE(f) && role[f] == FOLLOWER && k > known[f] && k <= agreed ->
        took = true;
        if
        :: length[f] < k || AT(f, k) != agreed_entry[k - 1] ->
            k_ = known[f] + 1;
            cut(f);
            for (p_ : 1 .. k) {
                AT(f, p_) = agreed_entry[p_ - 1]
            }
            length[f] = k
        :: else
        fi;
        known[f] = k;
        base[f] = k;
        log_matching(f)
    :: else
    fi
}

/* ---- Membership ---- */

/* Leader l writes membership m into the log, where it is in effect at once: one at a time, not before an entry of
 * its own term is committed, and by way of a joint majority. */
inline change(l, m) {
    took = false;
    if
    :: ALIVE(l) && role[l] == LEADER && length[l] < LEN && committed[term[l]] >= first[term[l]] ->
        membership_of(l);
        if
        :: m_at <= committed[term[l]] &&
           (phase[m] == CATCHING_UP && phase[m_] == STABLE && voters[m] == voters[m_] ||
            phase[m] == JOINT && phase[m_] == CATCHING_UP && voters[m] == voters[m_] && target[m] == target[m_] ||
            phase[m] == STABLE && phase[m_] == JOINT && voters[m] == target[m_] ||
            phase[m] == STABLE && phase[m_] == CATCHING_UP && voters[m] == (SKIPS_JOINT -> target[m_] : voters[m_])) ->
            took = true;
            write(l, ENTRY(term[l], m))
        :: else
        fi
    :: else
    fi
}

/* ---- Faults ---- */

/* i loses its memory. Who comes back under its name is another replica, and in no membership. */
inline lose_memory(i) {
    took = true;
    known[i] = 0;
    base[i] = 0;
    k_ = 1;
    cut(i);
    role[i] = FOLLOWER;
    term[i] = 0;
    voted[i] = false;
    granted[i] = NOBODY;
    lost = (AMNESIA_COUNTS -> lost : lost | BIT(i))
}

/* ---- Invariants that need a look around ---- */

/* Two logs with an entry of the same term at the same index are the same up to there. */
inline log_matching(i) {
    for (p_ : 0 .. N - 1) {
        k_ = (length[i] < length[p_] -> length[i] : length[p_]);
        do
        :: k_ > 0 && TERM_OF(AT(i, k_)) != TERM_OF(AT(p_, k_)) -> k_--
        :: else -> break
        od;
        do
        :: k_ > 0 -> assert(AT(i, k_) == AT(p_, k_)); k_--
        :: else -> break
        od
    }
}

/* Whoever was elected after term t has what the leader of t commits only now. */
inline later_leaders(t) {
    for (p_ : t + 1 .. TERMS) {
        for (k_ : 1 .. (LEADS(p_) -> committed[t] : 0)) {
            assert(POSTED(p_, k_) == agreed_entry[k_ - 1])
        }
    }
}
