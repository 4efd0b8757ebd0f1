#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Soft-RoCE carries data between two hosts, and stops to when the cable is out.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up h1 h2
pingpong() { on_host "$1" timeout 6 ibv_rc_pingpong -c -d rxe0 -g 1 -n 50 "${@:2}"; }

pingpong h1 > server.txt 2>&1 &
server=$!
wait_until 5 on_host h1 sh -c 'ss -ltn | grep -q :18515'
expect_match "$(pingpong h2 10.78.0.1)" '^50 iters in ' "ibv_rc_pingpong"
wait "$server" || fail "the server's side failed: $(cat server.txt)"

lab cut h2 back
pingpong h1 > server.txt 2>&1 &
server=$!
wait_until 5 on_host h1 sh -c 'ss -ltn | grep -q :18515'
expect_failure any pingpong h2 10.78.0.1
wait "$server" && fail "the server's side succeeded with the cable out"
lab heal
on_host h2 ping -q -c 1 -W 2 10.78.0.1 > /dev/null || fail "no connection after heal"
