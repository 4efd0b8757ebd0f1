#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No client is left half alive by a failover. Connections from before protection and from after it, idle or waiting for
# an answer, all see a reset by themselves, and the first attempt to reconnect succeeds.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"

# watch NAME: in the background; its pid is in ${watcher[NAME]}
declare -A watcher
watch() {
    client python3 "$repository/tests/lab/watch-connections" 10.77.0.50 2 "$PWD/$1.ready" 200 > "$1.json" &
    watcher[$1]=$!
    wait_until 30 test -e "$1.ready"
}

lab_up --web1
watch before
protect_web1
watch after
# A request that is on its way when the host dies, on a connection that is written to all the time.
redis_load -c 2 -s 20 --ready-file "$PWD/load.ready" &
load=$!
wait_until 30 test -e load.ready
sleep 3
date +%s%N > killed_ns
lab kill h1
for name in before after; do wait "${watcher[$name]}" || fail "watch-connections $name failed: $(cat "$name.json")"; done

python3 - << 'EOT' || fail "not every client was reset, or could reconnect at once"
import json
killed = int(open("killed_ns").read())
good = True
for name in ("before", "after"):
    for one in json.load(open(f"{name}.json")):
        ended = one.get("end_ns")
        at = "" if ended is None else f"{(ended - killed) / 1e9:.1f} s after the kill, "
        print(f"{name} protect, {one['kind']}: {one['end']}, {at}reconnected in {one.get('answered_ms')} ms, attempts: {one.get('attempts')}")
        good &= one["end"] == "reset" and ended > killed and one["attempts"] == 1
assert good
EOT
wait "$load" || fail "the client that writes is not content: $(cat load.json)"
