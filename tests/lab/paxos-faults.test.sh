#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The log keeps what it acknowledged while its leader is killed, is stopped, or loses one or both directions of its
# cable, all under load.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/paxos.sh"

# Somebody else leads, and the load goes on. Sets $old, the leader before, and $leader.
another_leads() {
    old=$leader
    find_leader "$term" "${others[@]}"
    expect_progress
}
follows() { is "$1" "s['role'] == 'follower' and s['leader'] == $2"; }

paxos_lab_up
group=faults
start_group

check "cable of the leader cut, both ways"
start_load both-ways
term=$(of "$leader" "s['term']")
lab cut "h$leader" back
another_leads
is "$old" "s['lease_ms'] == 0" > /dev/null || fail "the old leader still believes in its lease"
lab heal "h$old"
wait_until 15 follows "$old" "$leader"
end_load 1 2 3

check "leader hears nothing, but is heard"
start_load deaf
deafen "$leader"
expect_progress 300
undeafen "$leader"
find_leader 0 1 2 3
expect_progress
end_load 1 2 3

check "leader is not heard, but hears"
start_load mute
term=$(of "$leader" "s['term']")
silence "$leader"
another_leads
unsilence "$old"
wait_until 15 follows "$old" "$leader"
end_load 1 2 3

check "leader stopped for 5 s"
start_load stopped
term=$(of "$leader" "s['term']")
signal_node STOP "$leader"
another_leads
sleep 4
expect_progress
signal_node CONT "$old"
wait_until 10 is "$old" "s['awakening']['deposed'] and s['role'] == 'follower'"
is "$old" "s['awakening']['slept_s'] > 4 and s['awakening']['led_term'] == $term" > /dev/null ||
    fail "was not stopped as a leader: $(of "$old" "s['awakening']")"
expect_equal "$(of "$old" "s['awakening']['acknowledged']")" 0 "operations that the deposed leader acknowledged"
expect_progress
end_load 1 2 3

check "leader killed"
start_load killed
term=$(of "$leader" "s['term']")
stop_node "$leader"
another_leads
end_load "$leader" $((6 - leader - old))

check "a leader that answers before the commit is found out"
stop_group
group=early
start_group --bug-early-answer
start_load early --clients 16 --keys 40 # many lost writes, few of them overwritten
term=$(of "$leader" "s['term']")
lab cut "h$leader" back
another_leads
lab heal "h$old"
end_recording
status=0
check_history early.history || status=$?
expect_equal "$status" 3 "verdict on a history with lost writes: $(cat verdict.txt)"
expect_match "$(cat verdict.txt)" 'not linearizable: no order explains these [0-9]+ of' "verdict"
sed 's/^/    /' verdict.txt
