/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes the steps of one trace (trace.h) by the rules of protocol.pml. A step that no rule allows is refused: it is
 * printed with what the model knows of its replicas, and the program ends with status 2.
 *
 * A trace does not tell when bytes landed. They are taken to land as late as possible: when a replica reports that
 * its log goes so far, or votes, or when its leader counts on it.
 */
#define STATE hidden
#define WORD short
#define MEMBERSHIPS 64
#define COUNTS_WORSE false
#define COUNTS_OLD_TERMS false
#define SKIPS_JOINT false
#define AMNESIA_COUNTS false
#define TELLS_EARLY false
#define LEADS_EARLY false
#define ACKS_MEMORY false
#define COUNTS_MEMORY false
#define DROPS_ROTTEN false
#define GOES_BACK false

hidden byte has_disks;
#define DURABLE has_disks
#define DISK_STATE hidden

hidden int stood[TERMS + 1]; /* who has ever told of its being a candidate of a term: rows are seen late */
hidden byte vote_of[N * (TERMS + 1)];
#define VOTE_OF(i, t) vote_of[(i) * (TERMS + 1) + (t)]
#define SEEN_STANDING(c, t) IN_SET(c, stood[t])
#define SEEN_LEADING(t) (leader[t] != NOBODY)
#define STOOD(c, t) VOTE_OF(c, t) = ID(c); stood[t] = (DURABLE -> stood[t] : stood[t] | BIT(c))
#define VOTED(v, c, t) VOTE_OF(v, t) = ID(c)

hidden short handed_over[LEN];
#define HANDED_OVER(i, k) handed_over[(k) - 1]

hidden short landed[(TERMS + 1) * N]; /* what the leadership had written there when it was shut out */
#define FENCED(i) remember(i)
#define LANDED(t, f) landed[(t) * N + (f)]

hidden short read_in[N * N]; /* the term in which c could read the log of v, before v shut it out */
#define WAS_READ(c, v) (read_in[(c) * N + (v)] == term[c])

#include "protocol.pml"

inline remember(i) {
    if
    :: granted[i] != NOBODY -> read_in[(granted[i] - 1) * N + i] = term[i]
    :: else
    fi;
    if
    :: leader[term[i]] != NOBODY && leader[term[i]] != ID(i) && REACHES(term[i], i) ->
        first_difference(term[i], i);
        landed[term[i] * N + i] = k_ - 1
    :: else
    fi
}

c_code {
enum { TRACE_REPLICAS = N, TRACE_TERMS = TERMS, TRACE_LENGTH = LEN, TRACE_MEMBERSHIPS = MEMBERSHIPS };
\#include "trace.h"
}

/* In the order of trace_kinds. */
#define T_MEMBERSHIP 0
#define T_STAND      1
#define T_VOTE       2
#define T_ADOPT      3
#define T_LEAD       4
#define T_FOLLOW     5
#define T_STEP_DOWN  6
#define T_APPEND     7
#define T_CHANGE     8
#define T_CONFIGURE  9
#define T_HOLD       10
#define T_ACK        11
#define T_COMMIT     12
#define T_LOSE       13
#define T_INSTALL    14
#define T_DISKS      15 /* this group has some */
#define T_WRITE      16 /* its log so far, for its disk, is handed over */
#define T_DISK_LOG   17 /* and is there */
#define T_DISK_STATE 18
#define T_DISK_BASE  19
#define T_RESTART    20
#define T_RECOVER    21
#define T_SETTLE     22
#define T_KEPT       23 /* a state of its own user, who kept it */

int step = 0; /* the only state: there is but one way */

/* The step as it stands in the trace. */
hidden int kind_, self_, peer_, term_, index_, end_, number_;
hidden int settles; /* who says that its disk is sound again */
hidden int restart_base_, restart_suspect_, under_way_, kept_;
hidden int votes_next_; /* the one after it is its replica's vote in the same term */

#define LOG_ENDS (length[self_] == index_ && (index_ == 0 || TERM_OF(AT(self_, index_)) == end_))
#define REFUSE(why) c_code { trace_refuse(why); }

/* What is still on its way to the log of self_ lands until the log ends as it is said to. */
inline settle() {
    took = true;
    do
    :: took && !LOG_ENDS ->
        land(term[self_], self_, true);
        if
        :: !LOG_ENDS -> land(term[self_], self_, false)
        :: else
        fi
    :: else -> break
    od
}

/* The same for a candidate whose reading of a voter's log was cut off. */
inline settle_adoption() {
    v_ = 0;
    do
    :: v_ < N && !LOG_ENDS ->
        adopt(self_, v_, true);
        took = true;
        do
        :: took && !LOG_ENDS -> adopt(self_, v_, false)
        :: else -> break
        od;
        v_++
    :: else -> break
    od
}

inline settle_exactly() {
    if
    :: role[self_] == CANDIDATE -> settle_adoption()
    :: role[self_] == FOLLOWER -> settle()
    :: else
    fi;
    if
    :: !LOG_ENDS -> REFUSE("its log cannot end so")
    :: else
    fi
}

inline must() {
    if
    :: !took -> REFUSE("no rule allows it")
    :: else
    fi
}

/* handed_over: the log that ends with index_ of end_. A leader of that term wrote it, or its entries are committed. */
inline find_log() {
    if
    :: index_ <= agreed && (index_ == 0 || TERM_OF(agreed_entry[index_ - 1]) == end_) ->
        for (p_ : 1 .. index_) {
            handed_over[p_ - 1] = agreed_entry[p_ - 1]
        }
    :: else ->
        if
        :: index_ <= written[end_] && TERM_OF(POSTED(end_, index_)) == end_ ->
            for (p_ : 1 .. index_) {
                handed_over[p_ - 1] = POSTED(end_, p_)
            }
        :: else -> REFUSE("such a log has never been")
        fi
    fi
}

/* What a disk has kept: all that it has reported, and of what was being written nothing, or the first parts. Its
 * owner may have a saved state of its own that says more. */
inline check_recovered_log() {
    c_code { under_way_ = trace_is_under_way(0, index_, end_); };
    n_ = (index_ == disk_length[self_] && (index_ == 0 || TERM_OF(ON_DISK(self_, index_)) == end_) ||
          index_ >= disk_length[self_] && index_ == kept_ && TERM_OF(agreed_entry[index_ - 1]) == end_ ||
          under_way_ == 1);
    if
    :: restart_suspect_ == 0 && IN_SET(self_, suspect) -> REFUSE("its disk was suspect")
    :: restart_suspect_ == 0 && n_ == 0 -> REFUSE("its disk had another log")
    :: else
    fi
}

/* It says that its disk is sound again: in a row that waits until a snapshot, if that is why, is on the disk. */
inline settle_soon() {
    if
    :: IN_SET(self_, settles) ->
        settle_suspicion(self_);
        settles = (took -> settles & ~BIT(self_) : settles)
    :: else
    fi
}

/* A vote that was being written may be there. If even the log is of a later term, that is as good as a vote. */
inline check_recovered_state() {
    if
    :: term_ == end_ && number_ == 1 && peer_ == self_ && VOTE_OF(self_, term_) == NOBODY && term_ > disk_term[self_] ->
        VOTE_OF(self_, term_) = ID(self_)
    :: else ->
        if
        :: term_ < disk_term[self_] || term_ > term[self_] || term_ == disk_term[self_] && number_ < disk_voted[self_] ->
            REFUSE("its disk had another state")
        :: number_ == 1 && VOTE_OF(self_, term_) != ID(peer_) -> REFUSE("that was not its vote")
        :: else
        fi;
        disk_term[self_] = term_;
        disk_voted[self_] = number_
    fi
}

/* Who comes back as somebody else brings its log along. */
inline recover() {
    find_log();
    if
    :: term[self_] != 0 || disk_length[self_] != 0 -> check_recovered_log(); check_recovered_state()
    :: else ->
        disk_term[self_] = term_;
        disk_voted[self_] = number_;
        VOTE_OF(self_, term_) = ID(peer_)
    fi;
    for (p_ : index_ + 1 .. disk_length[self_]) {
        ON_DISK(self_, p_) = 0
    }
    for (p_ : 1 .. index_) {
        ON_DISK(self_, p_) = HANDED_OVER(self_, p_)
    }
    disk_length[self_] = index_;
    restart(self_, index_);
    if
    :: term[self_] != term_ || voted[self_] != number_ -> REFUSE("it knows more, or less, than its disk")
    :: else
    fi;
    known[self_] = restart_base_;
    base[self_] = restart_base_;
    /* Whatever was committed by the word of its disk is in the log of the leader that it will meet. */
    settles = settles & ~BIT(self_);
    suspect = (restart_suspect_ == 1 -> suspect | BIT(self_) : suspect & ~BIT(self_));
    owed[self_] = 1;
    for (p_ : 1 .. term_) {
        owed[self_] = (committed[p_] > owed[self_] -> committed[p_] : owed[self_])
    }
    acknowledge(self_)
}

hidden int v_;

inline take_step() {
    if
    :: kind_ == T_MEMBERSHIP -> phase[number_] = term_; voters[number_] = index_; target[number_] = end_

    :: kind_ == T_STAND -> settle_exactly(); stand(self_, term_); must()

    :: kind_ == T_VOTE ->
        settle_exactly();
        if
        :: role[self_] == LEADER -> step_down(self_, term[self_]) /* won, and laid down in the same look */
        :: else
        fi;
        vote(self_, peer_, term_);
        must()

    :: kind_ == T_ADOPT ->
        took = true;
        do
        :: took && !LOG_ENDS -> adopt(self_, peer_, false)
        :: else -> break
        od;
        must()

    :: kind_ == T_LEAD ->
        if
        :: !LOG_ENDS || term_ != term[self_] -> REFUSE("it is not there")
        :: else
        fi;
        lead(self_);
        must()

    :: kind_ == T_FOLLOW && number_ == 0 -> /* nobody */
        if
        :: term_ == term[self_] && role[self_] != LEADER
        :: votes_next_ != 0 /* which is one step of the model */
        :: else -> step_down(self_, term_); must()
        fi

    :: kind_ == T_FOLLOW && number_ == 1 ->
        if
        :: leader[term_] != ID(peer_) -> REFUSE("that is not the leader")
        :: else
        fi;
        took = (term[self_] == term_ && granted[self_] == leader[term_]); /* the one it has voted for */
        if
        :: !took -> follow(self_, term_)
        :: else
        fi;
        must()

    :: kind_ == T_STEP_DOWN -> step_down(self_, term_); must()

    :: kind_ == T_APPEND ->
        took = (index_ == first[term_] && length[self_] == index_ && leader[term_] == ID(self_)); /* its no-op */
        if
        :: !took -> append(self_)
        :: else
        fi;
        if
        :: !LOG_ENDS -> took = false
        :: else
        fi;
        must()

    :: kind_ == T_CHANGE -> /* a leader's own */
        change(self_, number_);
        if
        :: !LOG_ENDS -> took = false
        :: else
        fi;
        must()

    :: kind_ == T_CONFIGURE -> /* number_ 0: the founding one */
        took = (index_ <= length[self_] && (index_ == 0 || MEMBERSHIP_OF(AT(self_, index_)) == number_));
        must()

    :: kind_ == T_HOLD -> /* it may be looking at less than has landed */
        if
        :: index_ <= length[self_] && (index_ == 0 || TERM_OF(AT(self_, index_)) == end_)
        :: else -> settle_exactly()
        fi

    :: kind_ == T_ACK ->
        first_difference(term_, peer_);
        took = (LANDED(term_, peer_) < index_);
        do
        :: took && k_ <= index_ -> land(term_, peer_, false); first_difference(term_, peer_)
        :: else -> break
        od;
        took = (acked[term_ * N + peer_] >= index_);
        if
        :: !took -> complete(term_, peer_, index_)
        :: else
        fi;
        must()

    :: kind_ == T_COMMIT ->
        if
        :: role[self_] == LEADER -> commit(self_, index_)
        :: else -> know(self_, index_)
        fi;
        must()

    :: kind_ == T_INSTALL -> install(self_, index_)

    :: kind_ == T_LOSE -> lose_memory(self_)
    fi
}

inline take_disk_step() {
    if
    :: kind_ == T_DISKS -> has_disks = true

    :: kind_ == T_WRITE ->
        if
        :: index_ <= length[self_] && TERM_OF(AT(self_, index_)) == end_
        :: else -> settle_exactly()
        fi;
        if
        :: index_ < disk_length[self_] && index_ < length[self_] && REACHES(term[self_], self_) ->
            first_difference(term[self_], self_); /* what stood there has begun to be written over */
            if
            :: k_ == index_ + 1 -> land(term[self_], self_, true)
            :: else
            fi
        :: else
        fi

    :: kind_ == T_DISK_LOG ->
        c_code { under_way_ = trace_is_under_way(1, index_, end_); };
        if
        :: under_way_ == 0 -> REFUSE("that was not handed over, or is not its turn")
        :: else
        fi;
        find_log();
        store_log(self_, index_);
        if
        :: took -> settle_soon(); acknowledge(self_)
        :: disk_length[self_] != index_ || k_ <= index_ -> REFUSE("that was there already, and more")
        :: else
        fi

    :: kind_ == T_DISK_STATE ->
        if
        :: number_ == 1 && VOTE_OF(self_, term_) != ID(peer_) -> REFUSE("that was not its vote")
        :: number_ == 1 && peer_ == self_ -> stood[term_] = stood[term_] | BIT(self_)
        :: else
        fi;
        store_state(self_, term_, number_);
        if
        :: !took -> took = (disk_term[self_] == term_ && disk_voted[self_] == number_)
        :: else
        fi;
        must();
        acknowledge(self_)

    :: kind_ == T_DISK_BASE -> store_base(self_, index_, number_); must(); settle_soon(); acknowledge(self_)

    :: kind_ == T_RESTART -> restart_base_ = index_; restart_suspect_ = number_

    :: kind_ == T_KEPT -> kept_ = index_; took = (index_ <= agreed); must()

    :: kind_ == T_RECOVER -> recover()

    :: kind_ == T_SETTLE ->
        settles = settles | BIT(self_);
        settle_soon()
    fi
}

active proctype replay() {
    d_step { c_code { trace_load(); } }
    do
    :: d_step { c_expr { now.step < trace_count } -> c_code { trace_take(now.step); } }
       if
       :: kind_ >= T_DISKS -> d_step { take_disk_step(); step++ }
       :: else -> d_step { take_step(); step++ }
       fi
    :: else -> break
    od;
    c_code { trace_accepted(); }
}
