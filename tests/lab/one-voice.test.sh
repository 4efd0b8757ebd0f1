#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
# One voice. The RDMA network of the primary's host is cut, its front network is whole: after the takeover one host alone
# answers ARP and connections for the VM. So it stays while the old daemon is stopped, started, killed, started again. A
# host that was paused under load and goes on says nothing more either.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"

takes_over() { for host in h2 h3; do ! status_is "$host" "any(e['name'] == 'network_moved' for e in s['events'])" || return 0; done; false; }
# voices SECONDS WHEN: h1 is silent, and one of the others answers
voices() {
    client python3 "$repository/tests/lab/watch-voices" 10.77.0.50 00:16:3e:77:00:50 6379 "$1" > voices.json
    python3 - "$2" << 'EOT' || fail "$2: not one voice: $(cat voices.json)"
import json, sys
voices = json.load(open("voices.json"))
print(sys.argv[1], {device: (v["arp"], v["accepted"], v["frames"]) for device, v in voices.items()})
assert voices["front1"]["frames"] == 0, "h1 speaks"
answering = [d for d, v in voices.items() if v["arp"] and v["accepted"]]
assert len(answering) == 1 and sum(1 for v in voices.values() if v["frames"]) == 1
EOT
}

lab_up --web1
protect_web1
expect_equal "$(redis set before cut)" OK "a write before"
lab cut h1 back
wait_until 60 takes_over
voices 5 "cut off"
expect_equal "$(redis get before)" cut "what was written before"
on_host h1 xl list web1 > /dev/null || fail "h1 has no instance that could speak"
expect_match "$(on_host h1 tripod list)" '^web1 .* primary +stalled ' "h1's list"

lab daemon stop h1
on_host h1 xl list web1 > /dev/null || fail "h1 has no instance that could speak"
voices 4 "stopped by TERM"
lab daemon start h1
voices 4 "started again"
# shellcheck disable=SC2016
on_host h1 sh -c 'kill -9 $(pidof tripodd)'
voices 4 "killed"
lab daemon start h1
voices 4 "started once more"
on_host h1 xl list web1 > /dev/null || fail "h1 has no instance that could speak"
lab heal
gone() { ! on_host h1 xl list web1; }
wait_until 60 gone
web1_answers || fail "web1 does not answer at the end"
expect_match "$(on_host h1 nft list table bridge tripod)" 'chain gate' "the gate's table"
[[ $(on_host h1 nft list table bridge tripod) != *queue* ]] || fail "h1 keeps a rule for a VM that is gone"

lab down
lab_up --web1
protect_web1
redis_load -c 4 -s 25 --ready-file "$PWD/ready" > load.txt 2>&1 &
load=$!
wait_until 20 test -e ready
sleep 3
lab stop h1
wait_until 60 takes_over
sleep 5
lab cont h1
sleep 0.5 # what had left the gate before the pause is on its way; it holds nothing that the new primary does not know
voices 5 "paused, under load"
wait "$load" || fail "the client is not content: $(tail -n 5 load.txt) $(cat load.json)"
wait_until 60 gone
