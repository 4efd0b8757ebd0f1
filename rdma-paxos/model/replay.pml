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

hidden int stood[TERMS + 1]; /* who has ever been a candidate of a term: rows are seen late */
#define SEEN_STANDING(c, t) IN_SET(c, stood[t])
#define SEEN_LEADING(t) (leader[t] != NOBODY)
#define STOOD(c, t) stood[t] = stood[t] | BIT(c)

hidden short landed[(TERMS + 1) * N]; /* what the leadership had written there when it was shut out */
#define FENCED(i) remember(i)
#define LANDED(t, f) landed[(t) * N + (f)]

#include "protocol.pml"

inline remember(i) {
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

int step = 0; /* the only state: there is but one way */

/* The step as it stands in the trace. */
hidden int kind_, self_, peer_, term_, index_, end_, number_;
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

hidden int v_;

active proctype replay() {
    d_step { c_code { trace_load(); } }
    do
    :: d_step {
        c_expr { now.step < trace_count } ->
        c_code { trace_take(now.step); };
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
        fi;
        step++
       }
    :: else -> break
    od;
    c_code { trace_accepted(); }
}
