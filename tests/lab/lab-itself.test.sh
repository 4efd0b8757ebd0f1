#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The lab's commands do what they say, and leave nothing behind.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up h1
expect_failure any lab up h1
expect_match "$failure_output" 'already up' "a second lab up"

# exec: streams, status, input, time-out, big transfers in both directions at once.
expect_equal "$(on_host h1 sh -c 'echo out; echo err >&2' 2> /dev/null)" out stdout
expect_equal "$(on_host h1 sh -c 'echo out; echo err >&2' 2>&1 > /dev/null)" err stderr
expect_failure 7 on_host h1 sh -c 'exit 7'
expect_failure 137 on_host h1 sh -c 'kill -KILL $$'
expect_failure 127 on_host h1 no-such-command
expect_equal "$(echo words | on_host h1 tr a-z A-Z)" WORDS "standard input"
head -c 3000000 /dev/urandom > big
on_host h1 cat < big | cmp - big || fail "3 MB did not come back unchanged"
expect_failure 124 lab exec -t 1 h1 -- sleep 1234
wait_until 2 on_host h1 sh -c '! ps | grep -q "[s]leep 1234"' # killed when its client left
# A daemon that a command leaves behind does not hold the command up.
started=$SECONDS
on_host h1 sh -c 'setsid sleep 60 &'
((SECONDS - started < 10)) || fail "exec waited for a background process"

# push
echo one > one; echo two > two; chmod 750 two
lab push h1 one two /root/sub/
expect_equal "$(on_host h1 sh -c 'cat /root/sub/one; stat -c %a /root/sub/two')" "one
750" "pushed files"

# stop, cont, kill
lab stop h1
expect_match "$(lab status)" '^h1 +stopped' status
expect_failure any lab exec -t 1 h1 -- true
lab cont h1
on_host h1 true
lab kill h1
expect_match "$(lab status)" '^h1 +down' status
expect_failure 1 on_host h1 true

for name in -h 'up -h' 'exec -h' 'cut -h'; do
    # shellcheck disable=SC2086
    expect_match "$(lab $name)" '  [a-z]' "lab $name"
done
expect_failure 1 lab no-such-command
expect_failure 1 lab exec h9 -- true

lab down
lab down
[[ ! -e /run/netns/$LAB ]] || fail "the network namespace is still there"
for file in "$repository/build/lab/run/$LAB"/*.pid; do [[ ! -e $file ]] || fail "$file is still there"; done
