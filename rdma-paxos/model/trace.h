/* SPDX-License-Identifier: Apache-2.0
 *
 * How replay.pml comes by a trace: a text file, named by the environment variable TRACE, one step a line:
 *
 *   kind self peer term index entry_term number
 *
 * `self` and `peer` are replicas of the model, one for each incarnation, counted from 0; what a kind does not need
 * is 0; the number says which membership; when a replica follows, whether it follows anybody; of a state on disk,
 * whether there is a vote (for `peer`); of a snapshot on disk, whether the log behind it is void; of a restart,
 * whether the log found on disk (it begins behind `index`) is suspect. A line that begins with '#' is a remark; the
 * last one ("# end") says that the trace is complete. Included into the program that Spin writes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_KINDS = 24 };
static const char* const trace_kinds[TRACE_KINDS] = {
    "membership", "stand",     "vote",       "adopt",     "lead",    "follow",  "step_down", "append",
    "change",     "configure", "hold",       "ack",       "commit",  "lose",    "install",   "disks",
    "write",      "disk_log",  "disk_state", "disk_base", "restart", "recover", "settle",    "kept",
};

struct trace_step {
    int kind, self, peer, term, index, end, number, line;
};

static struct trace_step* trace_steps;
static int trace_count;
static int trace_at;

static void trace_load(void) {
    const char* name = getenv("TRACE");
    FILE* file = name ? fopen(name, "r") : NULL;
    char text[256];
    int line = 0, complete = 0, room = 0;

    if (!file) {
        fprintf(stderr, "trace %s: %s\n", name ? name : "(TRACE is not set)", strerror(errno));
        exit(3);
    }
    while (fgets(text, sizeof text, file)) {
        struct trace_step step = {-1, 0, 0, 0, 0, 0, 0, ++line};
        char word[16];

        if (text[0] == '#') {
            complete = !strncmp(text, "# end", 5);
            continue;
        }
        int fields = sscanf(text, "%15s %d %d %d %d %d %d", word, &step.self, &step.peer, &step.term, &step.index,
                            &step.end, &step.number);
        for (int kind = 0; fields == 7 && kind < TRACE_KINDS; kind++)
            if (!strcmp(word, trace_kinds[kind]))
                step.kind = kind;
        if (step.kind < 0) {
            fprintf(stderr, "%s:%d: not a step: %s", name, line, text);
            exit(3);
        }
        /* A membership has sets and a phase in these places. */
        int fits = step.self >= 0 && step.self < TRACE_REPLICAS && step.peer >= 0 && step.peer < TRACE_REPLICAS &&
                   step.number >= 0 && step.number < TRACE_MEMBERSHIPS &&
                   (step.kind == 0 || (step.term >= 0 && step.term <= TRACE_TERMS && step.index >= 0 &&
                                       step.index < TRACE_LENGTH && step.end >= 0 && step.end <= TRACE_TERMS));
        if (!fits) {
            fprintf(stderr, "%s:%d: beyond the bounds of this model: %s", name, line, text);
            exit(3);
        }
        if (trace_count == room) {
            room = room ? 2 * room : 4096;
            trace_steps = realloc(trace_steps, room * sizeof *trace_steps);
            if (!trace_steps)
                exit(3);
        }
        trace_steps[trace_count++] = step;
    }
    fclose(file);
    if (!complete) {
        fprintf(stderr, "%s: the trace is cut off\n", name);
        exit(3);
    }
}

/* Puts a step where the rules find it. */
static void trace_take(int at) {
    const struct trace_step* step = &trace_steps[at];
    trace_at = at;
    kind_ = step->kind;
    self_ = step->self;
    peer_ = step->peer;
    term_ = step->term;
    index_ = step->index;
    end_ = step->end;
    number_ = step->number;
    votes_next_ = at + 1 < trace_count && !strcmp(trace_kinds[step[1].kind], "vote") &&
                  step[1].self == step->self && step[1].term == step->term;
}

static int trace_is(const struct trace_step* step, const char* kind) {
    return !strcmp(trace_kinds[step->kind], kind);
}

/* Writes to the log on disk that the replica of the present step has handed over since it started: how many were
 * reported as durable; and whether one of the others, or only the very next one, left the log ending so. */
static int trace_is_under_way(int only_next, int index, int end) {
    const struct trace_step* now = &trace_steps[trace_at];
    int first = trace_at, reported = 0, handed_over = 0;

    while (first > 0 && !(trace_steps[first - 1].self == now->self && trace_is(&trace_steps[first - 1], "recover")))
        first--;
    for (int at = first; at < trace_at; at++)
        reported += trace_steps[at].self == now->self && trace_is(&trace_steps[at], "disk_log");
    for (int at = first; at < trace_at; at++) {
        const struct trace_step* step = &trace_steps[at];
        if (step->self != now->self || !trace_is(step, "write") || handed_over++ < reported)
            continue;
        if (step->index == index && step->end == end)
            return 1;
        if (only_next)
            return 0;
    }
    return 0;
}

static void trace_show(int i) {
    int last = length[i] ? entry[i * TRACE_LENGTH + length[i] - 1] % (TRACE_TERMS + 1) : 0;

    printf("  model: replica %d%s is %s in term %d, %s, log granted to %d, log to %d of term %d, committed to %d\n",
           i, lost >> i & 1 ? " (lost)" : "",
           role[i] == 2   ? "leader"
           : role[i] == 1 ? "candidate"
                          : "follower",
           term[i], voted[i] ? "has voted" : "has not voted", granted[i] - 1, length[i], last, known[i]);
    if (has_disks)
        printf("  model: its disk%s has term %d, %s, log to %d of term %d\n",
               suspect >> i & 1 ? ", which is suspect," : "", disk_term[i],
               disk_voted[i] ? "has voted" : "has not voted", disk_length[i],
               disk_length[i] ? disk[i * TRACE_LENGTH + disk_length[i] - 1] % (TRACE_TERMS + 1) : 0);
}

static void trace_refuse(const char* why) {
    const struct trace_step* step = &trace_steps[trace_at];

    printf("refused at step %d, line %d: %s: %s %d, peer %d, term %d, index %d of term %d, membership %d\n",
           trace_at + 1, step->line, why, trace_kinds[step->kind], step->self, step->peer, step->term, step->index,
           step->end, step->number);
    trace_show(step->self);
    if (step->peer != step->self)
        trace_show(step->peer);
    if (step->term <= TRACE_TERMS && leader[step->term])
        printf("  model: term %d is led by %d, whose log goes to %d, committed to %d\n", step->term,
               leader[step->term] - 1, written[step->term], committed[step->term]);
    exit(2);
}

static void trace_accepted(void) {
    printf("accepted: %d steps\n", trace_count);
    exit(0);
}
