/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol of rdma-paxos as rules over memory: election, fencing, adoption, replication, change of membership;
 * and over disks, where the group has some (DURABLE).
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
STATE WORD vote_rank[N * N];    /* and that its log then ended so, */
DISK_STATE int doubted[N];      /* and these of them that their disks are suspect */

/* What lies on disk, and outlives the memory. */
DISK_STATE WORD disk_term[N];
DISK_STATE byte disk_voted[N];  /* in that term */
DISK_STATE WORD disk_length[N];
DISK_STATE WORD disk[N * LEN];
DISK_STATE int suspect;         /* whose disk may have lost what it held; */
DISK_STATE WORD owed[N];        /* what it must hold to be sound again; 0: not known yet */

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
#define ON_DISK(i, k) disk[(i) * LEN + (k) - 1]
#define STATE_ON_DISK(i) (!DURABLE || disk_term[i] == term[i] && disk_voted[i] == voted[i])
#define POSTED(t, k) posted[(t) * LEN + (k) - 1]
#define ALIVE(i) ((lost & BIT(i)) == 0)
#define HAS_VOTE(c, v) (vote_term[(c) * N + (v)] != 0 && vote_term[(c) * N + (v)] == term[c])
#define LEADS(t) (leader[t] != NOBODY && role[leader[t] - 1] == LEADER && term[leader[t] - 1] == (t))

/* What a rule works with. Not part of the state: every rule sets these before it reads them. */
hidden byte took;
hidden int k_, m_, m_at, s_, d_, n_, r_, p_, rank_;

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

/* n_ > 0: the votes of s_, of whom d_ have suspect disks, are a majority, and so many that a sound voter's disk is
 * among those that held whatever a majority of disks ever held. All members together suffice: what is lost on every
 * disk is lost. */
inline votes_suffice_of(members) {
    majority_of(members);
    if
    :: n_ > 0 && (members & ~s_) != 0 ->
        n_ = 0;
        r_ = 0;
        for (p_ : 0 .. N - 1) {
            r_ = r_ + IN_SET(p_, members);
            n_ = n_ + IN_SET(p_, members & s_ & ~d_) - IN_SET(p_, members)
        }
        n_ = n_ + r_ / 2 + 1
    :: else
    fi
}

inline votes_suffice() {
    votes_suffice_of(voters[m_]);
    if
    :: n_ > 0 && phase[m_] == JOINT -> votes_suffice_of(target[m_])
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
        role[v] = FOLLOWER;
        term[v] = t;
        voted[v] = true;
        granted[v] = ID(c);
        VOTED(v, c, t);
        give_vote(v)
    :: else
    fi
}

/* The candidate comes to know of v's vote: not before it is on v's disk. */
inline give_vote(v) {
    p_ = granted[v] - 1;
    if
    :: granted[v] != NOBODY && p_ != v && voted[v] && (STATE_ON_DISK(v) || TELLS_EARLY) &&
       (term[v] > term[p_] || term[v] == term[p_] && role[p_] == CANDIDATE) ->
        rank_of(v);
        vote_term[p_ * N + v] = term[v];
        vote_rank[p_ * N + v] = rank_;
        doubted[p_] = (doubted[p_] & ~BIT(v)) | (suspect & BIT(v))
    :: else
    fi
}

/* Candidate c READs, over its own log, the next entry of a voter whose log is better. With `torn`, only as much of
 * it as to spoil what lay there. */
inline adopt(c, v, torn) {
    took = false;
    if
    :: ALIVE(c) && ALIVE(v) && role[c] == CANDIDATE && HAS_VOTE(c, v) &&
       (term[v] == term[c] && granted[v] == ID(c) || WAS_READ(c, v)) ->
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
    :: ALIVE(c) && role[c] == CANDIDATE && length[c] < LEN && (STATE_ON_DISK(c) || LEADS_EARLY) ->
        rank_of(c);
        s_ = BIT(c);
        d_ = doubted[c] | suspect & BIT(c);
        for (p_ : 0 .. N - 1) {
            if
            :: HAS_VOTE(c, p_) && (COUNTS_WORSE || vote_rank[c * N + p_] <= rank_) ->
                s_ = s_ | BIT(p_)
            :: else
            fi
        }
        membership_of(c);
        votes_suffice();
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
    :: !DURABLE && ALIVE(f) && LEADS(t) && leader[t] != ID(f) && (REACHES(t, f) || LANDED(t, f) > 0) ->
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
        disk_difference(l);
        s_ = (!DURABLE || COUNTS_MEMORY || k_ > k && TERM_OF(AT(l, k_ - 1)) == term[l] -> BIT(l) : 0);
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

/* ---- Disks ---- */

/* k_: the first index at which the disk of replica i does not hold the log in its memory. */
inline disk_difference(i) {
    k_ = 1;
    do
    :: k_ <= length[i] && k_ <= disk_length[i] && AT(i, k_) == ON_DISK(i, k_) -> k_++
    :: else -> break
    od
}

/* That i was in term t, and had voted in it or not, is on its disk. Others may know from then on. */
inline store_state(i, t, has_voted) {
    took = false;
    if
    :: ALIVE(i) && t <= term[i] && (t > disk_term[i] || t == disk_term[i] && has_voted > disk_voted[i]) ->
        took = true;
        disk_term[i] = t;
        disk_voted[i] = has_voted;
        give_vote(i)
    :: else
    fi
}

/* The first `k` entries of the log that i handed over are on its disk, and nothing behind them. What is in i's log
 * may not vanish from its disk meanwhile: the leader of an earlier term may have counted it. */
inline store_log(i, k) {
    took = false;
    k_ = 1;
    do
    :: k_ <= k && k_ <= disk_length[i] && HANDED_OVER(i, k_) == ON_DISK(i, k_) -> k_++
    :: else -> break
    od;
    if
    :: ALIVE(i) && (k_ <= k || k < disk_length[i] &&
                    (GOES_BACK || k >= length[i] || AT(i, k + 1) != ON_DISK(i, k + 1))) ->
        took = true;
        for (p_ : k_ .. k) {
            ON_DISK(i, p_) = HANDED_OVER(i, p_)
        }
        for (p_ : k + 1 .. disk_length[i]) {
            ON_DISK(i, p_) = 0
        }
        disk_length[i] = k
    :: else
    fi
}

/* A snapshot at `k` is on the disk of i; with `only`, nothing behind it. */
inline store_base(i, k, only) {
    took = false;
    if
    :: ALIVE(i) && k <= agreed && k <= length[i] && AT(i, k) == agreed_entry[k - 1] ->
        took = true;
        if
        :: only || disk_length[i] < k || ON_DISK(i, k) != agreed_entry[k - 1] ->
            for (p_ : 1 .. disk_length[i]) {
                ON_DISK(i, p_) = (p_ > k -> 0 : ON_DISK(i, p_))
            }
            for (p_ : 1 .. k) {
                ON_DISK(i, p_) = agreed_entry[p_ - 1]
            }
            disk_length[i] = k
        :: else
        fi
    :: else
    fi
}

/* f's row tells the leader how far its disk goes. It counts if it ends in an entry of the leader's own term: then
 * all before it is the leader's log. */
inline acknowledge(f) {
    took = false;
    if
    :: DURABLE && ALIVE(f) && LEADS(term[f]) && leader[term[f]] != ID(f) && (STATE_ON_DISK(f) || TELLS_EARLY) ->
        disk_difference(f);
        k_ = (ACKS_MEMORY -> length[f] : k_ - 1);
        if
        :: k_ > acked[term[f] * N + f] && TERM_OF(AT(f, k_)) == term[f] ->
            took = true;
            acked[term[f] * N + f] = k_
        :: else
        fi
    :: else
    fi
}

/* i loses its memory, and comes back with what its disk still has: the first `k` entries. If that is less than it
 * had, its disk is suspect from then on. */
inline restart(i, k) {
    took = true;
    if
    :: k < disk_length[i] && !DROPS_ROTTEN -> suspect = suspect | BIT(i)
    :: else
    fi;
    owed[i] = 0;
    disk_difference(i);
    k_ = (k_ - 1 < k -> k_ - 1 : k);
    known[i] = (known[i] < k_ -> known[i] : k_);
    for (p_ : 1 .. length[i]) {
        AT(i, p_) = 0
    }
    for (p_ : k + 1 .. disk_length[i]) {
        ON_DISK(i, p_) = 0
    }
    disk_length[i] = k;
    length[i] = k;
    for (p_ : 1 .. k) {
        AT(i, p_) = ON_DISK(i, p_)
    }
    base[i] = (base[i] < k -> base[i] : k);
    role[i] = FOLLOWER;
    term[i] = disk_term[i];
    voted[i] = disk_voted[i];
    granted[i] = NOBODY;
    if
    :: k > 0 && TERM_OF(AT(i, k)) > term[i] -> /* a vote that was not on disk counts for nobody; it has none left */
        term[i] = TERM_OF(AT(i, k));
        voted[i] = true
    :: else
    fi
}

/* Suspect i and the leader of term t meet after i's restart. What i acknowledged to it before counts no more; what
 * that leader has now is all that i can have lost. */
inline meet(i, t) {
    took = false;
    if
    :: ALIVE(i) && IN_SET(i, suspect) && LEADS(t) && t >= term[i] ->
        took = true;
        acked[t * N + i] = 0;
        owed[i] = (leader[t] == ID(i) -> first[t] : written[t])
    :: else
    fi
}

/* Its disk is sound again once it holds that, and a leader says that it is committed. */
inline settle_suspicion(i) {
    took = false;
    disk_difference(i);
    if
    :: ALIVE(i) && IN_SET(i, suspect) && owed[i] != 0 && known[i] >= owed[i] && k_ > owed[i] ->
        took = true;
        suspect = suspect & ~BIT(i);
        owed[i] = 0;
        give_vote(i)
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

/* i loses its memory, and its disk, or its disk may have lost its vote. Who comes back under its name is another
 * replica, and in no membership. */
inline lose_memory(i) {
    took = true;
    disk_term[i] = 0;
    disk_voted[i] = false;
    for (p_ : 1 .. disk_length[i]) {
        ON_DISK(i, p_) = 0
    }
    disk_length[i] = 0;
    suspect = suspect & ~BIT(i);
    owed[i] = 0;
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
