#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Interception is complete and true: for a scripted redis session, the calls that `xl tripod trace` reports are those that
# strace inside the guest reports: same order, same results, same bytes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tools=$repository/tests/lab/interception

lab_up h1
on_host h1 sh -c 'sed "s/ ip=/ server=strace ip=/" /etc/xen/web1.cfg > /root/traced.cfg && xl create -q /root/traced.cfg'
ping_redis() { [[ $(client timeout 5 redis-cli -h 10.77.0.50 ping) == PONG ]]; }
wait_until 90 ping_redis

on_host h1 xl tripod trace --json web1 > trace.json 2> trace.err &
trace=$!
wait_until 30 grep -q '"type":"call"' trace.json
client timeout 150 python3 "$tools/session" 10.77.0.50 6379 begin-of-session end-of-session
wait_until 60 grep -q "$(printf end-of-session | od -An -tx1 | tr -d ' \n')" trace.json
kill "$trace"
wait "$trace" || true
expect_equal "$(cat trace.err)" "" "what trace complained about (calls lost?)"

wait_until 60 client busybox wget -q -O strace.log http://10.77.0.50:81/strace.log
PYTHONDONTWRITEBYTECODE=1 python3 "$tools/compare" strace.log trace.json begin-of-session end-of-session
