# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the lab tests of the replicated log do: nodes on the hosts, which meet on the back network; clients that are
# outside and reach them on the front network; one-way cuts; and what must hold after each fault. Sourced after
# lib.sh, which sets $repository.
# shellcheck disable=SC2154

port=7400
back_nodes=1=10.78.0.1:$port,2=10.78.0.2:$port,3=10.78.0.3:$port
front_nodes=1=10.77.0.1:$port,2=10.77.0.2:$port,3=10.77.0.3:$port
paxos_client() { client "$repository/build/bin/rdma-paxos-client" "$@"; }

# paxos_lab_up: the three hosts, with a cluster key and no other program than ours
paxos_lab_up() {
    lab_up --no-daemon
    (umask 077 && head -c 32 /dev/urandom > key)
    local n
    for n in 1 2 3; do lab push "h$n" key /root/; done
    trap collect_node_logs EXIT
}

collect_node_logs() {
    local status=$? n
    [[ $status -eq 0 ]] || for n in 1 2 3; do
        on_host "h$n" sh -c 'cat /root/node*.log' > "h$n.node.log" 2> /dev/null || true
        call "$n" status > "h$n.status.json" 2> /dev/null || true
    done
    (exit "$status")
    end_of_test
}

# start_node N [OPTION...]
start_node() {
    # shellcheck disable=SC2016
    on_host "h$1" sh -c 'exec < /dev/null; setsid rdma-paxos-node "$@" >> /root/node.log 2>&1 & echo $! > /run/node.pid' sh \
        --id "$1" --peers "$back_nodes" --key /root/key --lab-timing --ring-kib 4096 "${@:2}"
}

# signal_node SIGNAL N
signal_node() { on_host "h$2" sh -c "kill -$1 \$(cat /run/node.pid)"; }
stop_node() {
    signal_node "${2:-KILL}" "$1"
    # shellcheck disable=SC2016
    wait_until 5 on_host "h$1" sh -c '! grep -q "^State:.[^Z]" "/proc/$(cat /run/node.pid)/status"' # Z: dead, not reaped
}

# start_group [OPTION...]: three new nodes, h1's leading
start_group() {
    local n
    for n in 1 2 3; do start_node "$n" --group "$group" --initial-leader 1 "$@"; done
    wait_until 20 is 1 "s['role'] == 'leader' and s['lease_ms'] > 0 and all(p['log_up'] for p in s['peers'])"
}
stop_group() { local n; for n in 1 2 3; do stop_node "$n" || true; done; }

# call N REQUEST...: asks that node
call() { paxos_client call "10.77.0.$1:$port" "${@:2}"; }
# of N EXPRESSION: of its status, as the Python variable s
of() { call "$1" status | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"; }
# is N EXPRESSION: whether it is true; for wait_until
is() { local got; got=$(of "$1" "bool($2)") && [[ $got == True ]] || { call "$1" status; false; }; }
# leads N TERM: in a term above that one
leads() { is "$1" "s['role'] == 'leader' and s['term'] > $2"; }

# new_leader TERM N...: which of these nodes leads in a later term; waits for it
new_leader() {
    local term=$1 deadline=$((SECONDS + 15)) n
    shift
    while ((SECONDS < deadline)); do
        for n in "$@"; do leads "$n" "$term" > /dev/null 2>&1 && { echo "$n"; return; }; done
        sleep 0.1
    done
    fail "nobody of $* leads in a term after $term"
}

# Cuts on the back network, for node N. Deaf: it sends, but hears nothing. Mute: the other way.
deafen() { client tc qdisc replace dev "back$1" root bfifo limit 1; }
undeafen() { client tc qdisc del dev "back$1" root; }
# The bridge takes nothing from a locked port whose address it has forgotten.
silence() {
    client bridge link set dev "back$1" locked on learning off
    client bridge fdb del "52:54:00:78:00:0$1" dev "back$1" master
}
unsilence() { client bridge link set dev "back$1" locked off learning on; }

# start_load NAME [OPTION...]: random operations, recorded in NAME.history
start_load() {
    load_name=$1
    rm -f progress
    first_key=$((${first_key:-0} + 100)) # registers that nobody used
    # No function: what is started must be what a signal reaches.
    "$repository/scripts/lab/lab" netns -- "$repository/build/bin/rdma-paxos-client" load --nodes "$front_nodes" \
        --history "$load_name.history" --progress progress --first-key "$first_key" "${@:2}" > "$load_name.load" 2>&1 &
    load_pid=$!
    expect_progress 50
}
answers() { cat progress 2> /dev/null || echo 0; }
answered_more_than() { (($(answers) > $1)); }
# expect_progress [COUNT]: so many more operations are answered, soon
expect_progress() { wait_until 20 answered_more_than $(($(answers) + ${1:-50})); }

# end_load N...: the load ends with a last read of everything; what its clients saw must be linearizable, and those
# nodes must hold the same.
end_load() {
    kill -TERM "$load_pid"
    wait "$load_pid" || fail "the load failed: $(tail -n 3 "$load_name.load")"
    expect_linearizable "$load_name.history"
    wait_until 15 same_everywhere "$@"
}
expect_linearizable() {
    "$repository/build/bin/rdma-paxos-check-history" --answered-min 200 "$1" > verdict.txt 2>&1 ||
        fail "$1: $(cat verdict.txt)"
    head -n 1 verdict.txt | sed 's/^/    /'
}
same_everywhere() {
    local n first='' got
    for n in "$@"; do
        got=$(of "$n" "(s['applied'], s['entries'], s['digest'])")
        : "${first:=$got}"
        [[ $got == "$first" ]] || { echo "node $n: $got, not $first"; return 1; }
    done
}

# check TEXT: names what is tried next
check() { echo "- $* (at $SECONDS s)"; }
