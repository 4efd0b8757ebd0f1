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

# Quotas hold for a host and for the client, are seen, and go with the lab.
expect_failure 1 lab up --quota h1=much h1
expect_failure 1 lab up --quota h9=1 h1
if lab up --no-push --quota h1=0.3,client=0.2 h1 2> up.txt; then
    expect_match "$(lab status)" '^h1 +running +0\.30 of a processor' "status with a quota"
    busy='import time; end = time.monotonic() + 2
while time.monotonic() < end: pass
print(round(time.process_time() * 1000))'
    used=$(client python3 -c "$busy")
    ((used < 700)) || fail "the client used $used ms of 2 s, with a quota of 0.2"
    ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$repository/build/lab/run/$LAB/h1.pid")/stat"; }
    before=$(ticks)
    lab exec -t 3 h1 -- sh -c 'while :; do :; done' || true
    used=$((($(ticks) - before) * 10))
    ((used < 1300 && used > 300)) || fail "the host used $used ms of 3 s, with a quota of 0.3"
    lab down
    for group in /sys/fs/cgroup/tripod-"$LAB" /sys/fs/cgroup/*/tripod-"$LAB"; do [[ ! -e $group ]] || fail "$group is still there"; done
else
    expect_match "$(< up.txt)" 'no CPU quotas here' "a lab with quotas where there are none"
fi
