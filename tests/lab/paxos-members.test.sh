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
start_group --ring-kib 64

check "leadership handed over"
start_load transfer
for n in 2 3 1; do
    leader=$(new_leader 0 1 2 3)
    term=$(of "$leader" "s['term']")
    expect_equal "$(call "$leader" transfer "$n")" ok "transfer from $leader to $n"
    wait_until 5 leads "$n" "$term"
    expect_progress 30
done
is 1 "s['term'] == $term + 1" > /dev/null || fail "more than one election for one transfer: $(call 1 status)"
end_load 1 2 3

check "a replica without its memory is taken in again"
start_load newcomer
incarnation=$(of 3 "s['incarnation']")
stop_node 3
expect_progress 1500 # more than the ring holds
start_node 3 --group "$group" --ring-kib 64 --rejoin
wait_until 10 is 1 "[p for p in s['peers'] if p['id'] == 3][0]['replaced']"
is 3 "s['role'] == 'learner'" > /dev/null || fail "counts before it is a member: $(call 3 status)"
change_members 1 1,2,3
[[ $(of 3 "s['incarnation']") != "$incarnation" ]] || fail "the same incarnation"
wait_until 10 is 3 "s['role'] == 'follower' and s['installed'] >= 1"
end_load 1 2 3

check "a dead replica is replaced"
start_load replaced
stop_node 3
expect_progress
for n in 1 2; do expect_equal "$(call "$n" introduce "4=10.78.0.3:7404")" ok "introducing node 4 to $n"; done
peers=${back_nodes/3=10.78.0.3:$port/4=10.78.0.3:7404}
start_node_4() {
    # shellcheck disable=SC2016
    on_host h3 sh -c 'exec < /dev/null; setsid rdma-paxos-node "$@" >> /root/node4.log 2>&1 & echo $! > /run/node.pid' sh \
        --id 4 --peers "$peers" --key /root/key --lab-timing --ring-kib 64 --group "$group" --rejoin
}
start_node_4
change_members 1 1,2,4
port4() { paxos_client call 10.77.0.3:7404 status; }
wait_until 10 sh -c "$(declare -f client lab port4 paxos_client); repository=$repository; port4 | grep -q '\"role\":\"follower\"'"
expect_progress
# It counts: without node 2 nothing could be acknowledged otherwise.
stop_node 2
expect_progress
end_load 1
