#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The log keeps what it acknowledged while its leader is killed, is stopped, or loses one or both directions of its
# cable, all under load.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/paxos.sh"

paxos_lab_up

check "cable of the leader cut, both ways"
group=cut
start_group
start_load both-ways
term=$(of 1 "s['term']")
lab cut h1 back
leader=$(new_leader "$term" 2 3)
expect_progress
is 1 "s['lease_ms'] == 0" > /dev/null || fail "the old leader still believes in its lease"
lab heal h1
wait_until 15 is 1 "s['role'] == 'follower' and s['leader'] == $leader"
end_load 1 2 3

check "leader hears nothing, but is heard"
start_load deaf
term=$(of "$leader" "s['term']") old=$leader
deafen "$old"
expect_progress 300
undeafen "$old"
leader=$(new_leader $((term - 1)) 1 2 3)
expect_progress
end_load 1 2 3

check "leader is not heard, but hears"
start_load mute
term=$(of "$leader" "s['term']") old=$leader
silence "$old"
read -ra others <<< "$(tr -d "$old" <<< "1 2 3")"
leader=$(new_leader "$term" "${others[@]}"); echo "    led by $leader at $SECONDS s"
expect_progress
unsilence "$old"
wait_until 15 is "$old" "s['role'] == 'follower' and s['leader'] == $leader"
end_load 1 2 3

check "leader stopped for 5 s"
start_load stopped
term=$(of "$leader" "s['term']") old=$leader
signal_node STOP "$old"
read -ra others <<< "$(tr -d "$old" <<< "1 2 3")"
leader=$(new_leader "$term" "${others[@]}"); echo "    led by $leader at $SECONDS s"
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
term=$(of "$leader" "s['term']") old=$leader
stop_node "$old"
read -ra others <<< "$(tr -d "$old" <<< "1 2 3")"
leader=$(new_leader "$term" "${others[@]}"); echo "    led by $leader at $SECONDS s"
expect_progress
end_load "${others[@]}"
