#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No byte leaves the VM before a majority holds what it depends on: with both backups paused the client gets no answer;
# once one of them goes on, it does. Nothing that was answered is missing then.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

redis() { client timeout "${seconds:-10}" redis-cli -h 10.77.0.50 "$@"; }
status_of() { on_host "$1" xl tripod status --json web1 | python3 -c "import json, sys; r = json.load(sys.stdin); print($2)"; }

lab_up --web1
on_host h1 xl tripod protect web1 h2 h3
expect_equal "$(redis set before pause)" OK "SET with all hosts"

lab stop h2
lab stop h3
# The time-out is what is expected; an answer of any kind would be a byte that left too early.
expect_failure 124 env seconds=4 bash -c 'exec ip netns exec "$LAB" timeout 4 redis-cli -h 10.77.0.50 set while paused'
expect_equal "$failure_output" "" "what the client heard with both backups paused"

lab cont h2
started=$SECONDS
wait_until 40 redis set after pause
echo "answers came again within $((SECONDS - started)) s"
expect_equal "$(redis get before)" pause "the value from before"
expect_equal "$(redis get after)" pause "the value from after"
