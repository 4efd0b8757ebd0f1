#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A lost backup costs nothing: h3 loses power, writes go on without a gap, and the list says that protection is degraded.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up --web1
on_host h1 xl tripod protect web1 h2 h3
expect_match "$(on_host h1 xl tripod list)" '^web1 .* primary +protected ' "list before"

client "$repository/build/bin/redis-load" -H 10.77.0.50 -s 16 -c 2 --ready-file "$PWD/ready" -o "$PWD/load.json" &
load=$!
wait_until 20 test -e ready
sleep 5
killed=$(date +%s%N)
lab kill h3
wait "$load" || fail "the client is not content: $(cat load.json)"
wait_until 20 sh -c "'$repository/scripts/lab/lab' exec h1 -- xl tripod list | grep -E '^web1 .* degraded .*h3 (dead|lost)'"

# No gap: without the backup, service goes on as before. Two seconds are a lot more than any hiccup seen.
python3 - "$killed" << 'EOT'
import json, sys
report = json.load(open("load.json"))
gap = report["longest_gap"]
assert report["unknown"] == 0 and report["resets"] == 0, report
assert gap["seconds"] < 2, f"a gap of {gap['seconds']} s, {(gap['start_ns'] - int(sys.argv[1])) / 1e9} s after the kill"
EOT
