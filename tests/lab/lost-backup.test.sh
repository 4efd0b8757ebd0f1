#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A lost backup costs nothing: h3 loses power, writes go on without a gap, and the list says that protection is degraded.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# load NAME SECONDS: in the background, connected when this returns; its pid is in $load
load() {
    client "$repository/build/bin/redis-load" -H 10.77.0.50 -s "$2" -c 2 --reply-timeout-ms 10000 --ready-file "$PWD/$1.ready" -o "$PWD/$1.json" &
    load=$!
    wait_until 30 test -e "$1.ready"
}

lab_up --web1
on_host h1 xl tripod protect web1 h2 h3
expect_match "$(on_host h1 xl tripod list)" '^web1 .* primary +protected ' "list before"

load before 12
wait "$load" || fail "the client is not content before the loss: $(cat before.json)"
load across 16
sleep 4
date +%s%N > killed_ns
lab kill h3
wait "$load" || fail "the client is not content: $(cat across.json)"
degraded() { on_host h1 xl tripod list | grep -E '^web1 .* degraded .*h3 (dead|lost)'; }
wait_until 20 degraded

# An emulated host stutters by itself, so the longest silence is compared with the longest one from before.
python3 - << 'EOT' || fail "the loss of a backup was felt"
import json
before, across = json.load(open("before.json")), json.load(open("across.json"))
assert across["unknown"] == 0 and across["resets"] == 0, across
usual, gap = before["longest_gap"]["seconds"], across["longest_gap"]
after_kill = (gap["start_ns"] - int(open("killed_ns").read())) / 1e9
print(f"longest silence {gap['seconds']:.2f} s, {after_kill:.2f} s after the kill; before it was {usual:.2f} s")
assert gap["seconds"] < max(1.5, 3 * usual)
EOT
