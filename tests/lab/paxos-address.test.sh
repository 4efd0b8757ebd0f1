#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Under load: the RDMA device of a host loses its address (GID) and gets it back, and its port goes down and up again.
# That host's links go down and are made anew; the others go on meanwhile, and nothing is lost.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/paxos.sh"

all_links_up() { is "$leader" "all(p['log_up'] for p in s['peers'])"; }
cut_off() { is "$leader" "not [p for p in s['peers'] if p['id'] == $1][0]['log_up']"; }

paxos_lab_up
group=address
start_group

check "a follower's address goes and comes back"
start_load address
away=${others[0]}
on_host "h$away" ip addr del "10.78.0.$away/24" dev back
wait_until 5 cut_off "$away"
expect_progress 100
on_host "h$away" ip addr add "10.78.0.$away/24" dev back
wait_until 20 all_links_up
expect_progress 50

check "a follower's port goes down and up"
away=${others[1]}
on_host "h$away" ip link set back down
wait_until 5 cut_off "$away"
expect_progress 100
on_host "h$away" ip link set back up
wait_until 20 all_links_up
end_load 1 2 3

check "the leader's address goes and comes back"
start_load leader
away=$leader
term=$(of "$leader" "s['term']")
on_host "h$away" ip addr del "10.78.0.$away/24" dev back
find_leader "$term" "${others[@]}"
expect_progress 100
on_host "h$away" ip addr add "10.78.0.$away/24" dev back
wait_until 20 all_links_up
end_load 1 2 3
