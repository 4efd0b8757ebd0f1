#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# A tripodd that is killed: on a backup, its successor destroys the copy that can follow no more, and the VM is served
# on. On the primary's host, a backup takes over, and the successor destroys the instance that was left.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/vm.sh"

[[ -x $repository/build/bin/tripodd ]] || skip "tripodd is not built"
# shellcheck disable=SC2016
crash() { on_host "$1" sh -c 'kill -9 $(pidof tripodd)'; }
gone() { ! on_host "$1" xl list "$2"; }

lab_up --web1
protect_web1

crash h3
on_host h3 xl list web1--incoming > copy.txt || fail "h3 had no copy to leave behind"
lab daemon start h3
wait_until 20 gone h3 web1--incoming
wait_until 20 status_is h1 "s['state'] == 'degraded'"
expect_equal "$(redis set after-h3 1)" OK "a write with h3's daemon crashed"

lab down
lab_up --web1
protect_web1
expect_equal "$(redis set key value)" OK "a write before the crash"
crash h1
took_over() { status_is h2 "s['state'] == 'live'" || status_is h3 "s['state'] == 'live'"; }
wait_until 60 took_over
on_host h1 xl list web1 > old.txt || fail "h1 had no instance to leave behind"
wait_until 20 web1_answers
expect_equal "$(redis get key)" value "what was written before the crash"
lab daemon start h1
wait_until 30 gone h1 web1
web1_answers || fail "web1 does not answer after h1's clean-up"
