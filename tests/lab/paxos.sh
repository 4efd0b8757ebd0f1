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
    [[ -z ${load_pid:-} ]] || kill -KILL "$load_pid" 2> /dev/null || true
    [[ $status -eq 0 ]] || for n in 1 2 3; do
        on_host "h$n" sh -c 'cat /root/node*.log' > "h$n.node.log" 2> /dev/null || true
        call "$n" status > "h$n.status.json" 2> /dev/null || true
    done
    # It takes the status from $?, and -e must not end us here.
    if [[ $status -eq 0 ]]; then end_of_test; else (exit "$status") || end_of_test; fi
}

# start_node N [OPTION...]
start_node() { start_node_as "$1" "$back_nodes" "$@"; }
# start_node_as ID PEERS N [OPTION...]: a node of that id on host N
start_node_as() {
    # shellcheck disable=SC2016
    on_host "h$3" sh -c 'exec < /dev/null; setsid rdma-paxos-node "$@" >> /root/node.log 2>&1 & echo $! > /run/node.pid' sh \
        --id "$1" --peers "$2" --group "$group" --key /root/key --lab-timing --ring-kib "${ring_kib:-4096}" "${@:4}"
}

# signal_node SIGNAL N
signal_node() { on_host "h$2" sh -c "kill -$1 \$(cat /run/node.pid)"; }
stop_node() {
    signal_node "${2:-KILL}" "$1"
    # shellcheck disable=SC2016
    wait_until 5 on_host "h$1" sh -c '! grep -q "^State:.[^Z]" "/proc/$(cat /run/node.pid)/status"' # Z: dead, not reaped
}

# start_group [OPTION...]: three new nodes. Sets $leader and $others.
start_group() {
    local n
    for n in 1 2 3; do start_node "$n" --initial-leader 1 "$@"; done
    find_leader 0 1 2 3
    wait_until 20 is "$leader" "all(p['log_up'] for p in s['peers'])"
}
stop_group() { local n; for n in 1 2 3; do stop_node "$n" > /dev/null 2>&1 || true; done; }

# call ID REQUEST...: asks that node; ${where[ID]} is its address if it is not on the host of that number
declare -A where
call() { paxos_client call "${where[$1]:-10.77.0.$1:$port}" "${@:2}"; }
# of ID EXPRESSION: of its status, as the Python variable s
of() { call "$1" status | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"; }
# is ID EXPRESSION: whether it is true; for wait_until
is() { local got; got=$(of "$1" "bool($2)") && [[ $got == True ]] || { call "$1" status; false; }; }
# leads ID TERM: in a term above that one, and with a lease: a leader that was deposed may not know yet that it is none,
# but of leases there is one at a time
leads() { is "$1" "s['role'] == 'leader' and s['term'] > $2 and s['lease_ms'] > 0"; }

# find_leader TERM N...: waits until one of these nodes leads in a later term. Sets $leader, and $others: the two
# other nodes of the three.
find_leader() {
    local term=$1 deadline=$((SECONDS + 15)) n
    shift
    while ((SECONDS < deadline)); do
        for n in "$@"; do
            if leads "$n" "$term" > /dev/null 2>&1; then
                leader=$n
                # shellcheck disable=SC2034
                read -ra others <<< "$(tr -d "$n" <<< "1 2 3")"
                return
            fi
        done
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
    expect_progress 150
}
answers() { cat progress 2> /dev/null || echo 0; }
answered_more_than() { (($(answers) > $1)); }
# expect_progress [COUNT]: so many more operations are answered, soon
expect_progress() { wait_until 20 answered_more_than $(($(answers) + ${1:-50})); }

end_recording() {
    kill -TERM "$load_pid"
    wait "$load_pid" || fail "the load failed: $(tail -n 3 "$load_name.load")"
    load_pid=''
}
# end_load ID...: the load ends with a last read of everything; what its clients saw must be linearizable, and those
# nodes must hold the same.
end_load() {
    end_recording
    expect_linearizable "$load_name.history"
    wait_until 15 same_everywhere "$@"
}
check_history() { "$repository/build/bin/rdma-paxos-check-history" --answered-min 190 "$1" > verdict.txt 2>&1; }
expect_linearizable() {
    check_history "$1" ||
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
