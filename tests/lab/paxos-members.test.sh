#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Under load: leadership is handed over on request; a replica that lost its memory is taken in again; a dead one is
# replaced by another. The ring is small, so that who was away needs a state, not only the log.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/paxos.sh"

# settled_as N "IDS": node N leads, and the group has just these members
settled_as() { is "$1" "s['role'] == 'leader' and s['phase'] == 0 and s['voters'] == [$2]"; }
# change_members N "IDS": repeated while that is not possible yet, and until it is done
change_members() {
    wait_until 20 call "$1" members "$2"
    wait_until 20 settled_as "$1" "${2//,/, }"
}

paxos_lab_up
group=members
ring_kib=32
start_group

check "leadership handed over"
start_load transfer
term=$(of "$leader" "s['term']")
for to in "${others[@]}" 1; do
    [[ $to != "$leader" ]] || to=${others[0]}
    expect_equal "$(call "$leader" transfer "$to")" ok "transfer from $leader to $to"
    wait_until 5 leads "$to" "$term"
    expect_equal "$(of "$to" "s['term']")" $((term + 1)) "term after a transfer: one election"
    find_leader "$term" "$to"
    ((++term))
    expect_progress 30
done
end_load 1 2 3

check "a replica without its memory is taken in again"
start_load newcomer
away=${others[1]}
incarnation=$(of "$away" "s['incarnation']")
stop_node "$away"
expect_progress 800 # more than the ring holds
start_node "$away" --rejoin
wait_until 10 is "$leader" "[p for p in s['peers'] if p['id'] == $away][0]['replaced']"
is "$away" "s['role'] == 'learner'" > /dev/null || fail "counts before it is a member: $(call "$away" status)"
change_members "$leader" 1,2,3
[[ $(of "$away" "s['incarnation']") != "$incarnation" ]] || fail "the same incarnation"
wait_until 10 is "$away" "s['role'] == 'follower' and s['installed'] >= 1"
end_load 1 2 3

check "a dead replica is replaced"
start_load replaced
dead=${others[1]} stays=${others[0]}
stop_node "$dead"
expect_progress
new=10.78.0.$dead:7404
where[4]=10.77.0.$dead:7404
for n in "$leader" "$stays"; do expect_equal "$(call "$n" introduce "4=$new")" ok "introducing node 4 to $n"; done
start_node_as 4 "${back_nodes/$dead=10.78.0.$dead:$port/4=$new}" "$dead" --rejoin
remain=$(printf '%s\n' "$leader" "$stays" | sort | paste -sd ,)
change_members "$leader" "$remain,4"
expect_progress
# It counts: without the third nothing could be acknowledged otherwise.
stop_node "$stays"
expect_progress
end_load "$leader" 4
