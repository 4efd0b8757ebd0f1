#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Not one frame leaves the VM while no majority holds what it depends on: both backups are stopped, and for 20 s the guest
# does all that it can, of its own accord and because it is asked. Then a backup goes on, and what was held arrives, all of
# it, in order.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
. "$(dirname "${BASH_SOURCE[0]}")/ways-out.sh"

lab_up --web1
start_ways_out
protect_web1
silent_while "${ordinary_ways[@]}"
wait_until 60 status_is h1 "s['state'] == 'degraded'"
wait_until 60 web1_answers
wait_until 60 arrived 100 udp udp-write tcp-write sendfile # of 150; TCP sends again what it believes lost
arrived_in_order udp udp-write tcp-write sendfile
for name in "${ordinary_ways[@]}"; do
    [[ -n $(frames "$continued" "$(date +%s%N)" "${ways[$name]}") ]] || fail "nothing of $name was seen, not even afterwards"
done
