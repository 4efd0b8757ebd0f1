#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A durable replica comes back by itself: one alone, and all of them after all died at once, under load.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/paxos.sh"

follows() { is "$1" "s['role'] == 'follower' and s['leader'] != 0"; }

paxos_lab_up
group=durable
ring_kib=32
start_group --data /root/data

check "a replica restarts, having missed more than the ring holds"
start_load one
away=${others[0]}
incarnation=$(of "$away" "s['incarnation']")
stop_node "$away"
expect_progress 800
start_node "$away" --data /root/data
wait_until 15 follows "$away"
wait_until 15 is "$away" "s['installed'] >= 1"
expect_equal "$(of "$away" "s['incarnation']")" "$incarnation" "incarnation after a restart"
expect_progress
end_load 1 2 3

check "the leader restarts"
start_load leader
term=$(of "$leader" "s['term']") away=$leader
stop_node "$leader"
find_leader "$term" "${others[@]}"
expect_progress
start_node "$away" --data /root/data
wait_until 15 follows "$away"
end_load 1 2 3

check "all die at once"
start_load all
expect_progress 150
killers=()
for n in 1 2 3; do
    signal_node KILL "$n" &
    killers+=($!)
done
wait "${killers[@]}"
for n in 1 2 3; do start_node "$n" --data /root/data; done
find_leader 0 1 2 3
expect_progress 150
end_load 1 2 3
