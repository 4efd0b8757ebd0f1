#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No byte leaves the VM before a majority holds what it depends on. With one backup paused, service goes on. With both
# paused, a client's write gets no answer, and nothing of one is seen on the wire; when one backup goes on, the same
# client gets its answer on the same connection.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
quiet_seconds=6

lab_up --web1
protect_web1
expect_equal "$(redis set before pause)" OK "SET with all hosts"

# -- one paused from the start
lab stop h3
wait_until 60 status_is h1 "s['state'] == 'degraded'"
expect_match "$(on_host h1 tripod list)" '^web1 .* primary +degraded +h2 ok, h3 (dead|catching-up) ' "list with h3 paused"
redis_load -c 2 -s 4 --reply-timeout-ms 10000 || fail "with one backup paused the client is not content: $(cat load.json)"

# -- the other one too
client python3 "$repository/tests/lab/waiting-write" 10.77.0.50 front1 "$PWD/ready" "$PWD/go" 120 > write.json &
writer=$!
wait_until 30 test -e ready
lab stop h2
touch go
sleep "$quiet_seconds"
wait_until 60 status_is h1 "s['state'] == 'stalled'"
expect_match "$(on_host h1 tripod list)" '^web1 .* primary +stalled ' "list with both paused"
kill -0 "$writer" || fail "the client has its answer already: $(cat write.json)"
continued=$(date +%s%N)
lab cont h2
wait "$writer" || fail "the client failed: $(cat write.json)"
python3 - "$continued" "$quiet_seconds" << 'EOT' || fail "not the silence that was expected: $(cat write.json)"
import json, sys
continued, quiet = int(sys.argv[1]), float(sys.argv[2])
write = json.load(open("write.json"))
assert write["answer"] == "+OK\r\n", "no answer after one backup went on"
assert continued - write["sent_ns"] >= quiet * 1e9, "not quiet for long enough"
assert write["first_byte_ns"] and write["first_byte_ns"] > continued, "a byte left while no backup held what it depends on"
print(f"no byte for {(write['first_byte_ns'] - write['sent_ns']) / 1e9:.1f} s; "
      f"answered {(write['answer_ns'] - continued) / 1e9:.1f} s after a backup went on")
EOT
expect_equal "$(redis get written-while)" waiting "what was written while it waited"
expect_equal "$(redis get before)" pause "the value from before"

# -- the one that was away longest comes back, and follows again
lab cont h3
wait_until 90 status_is h1 "s['state'] == 'protected'"
last=$(status_of h1 "s['index']['last']")
for host in h2 h3; do wait_until 90 status_is "$host" "s['index']['applied'] >= $last"; done
expect_equal "$(redis get before)" pause "the value from before, at the end"
