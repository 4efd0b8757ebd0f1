#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# `tripod failover` while the primary is alive: the VM moves to the backup that asks, under load, and nothing that was
# acknowledged is lost; the old instance is gone, and the other backup's copy too.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/vm.sh"

[[ -x $repository/build/bin/tripodd ]] || skip "tripodd is not built"
lab_up --web1
protect_web1

redis_load -s 15 --ready-file "$PWD/ready" > load.txt 2>&1 &
load=$!
wait_until 20 test -e ready
sleep 4
on_host h2 tripod failover web1 > failover.txt 2>&1 || fail "failover: $(cat failover.txt)"
status_is h2 "s['state'] == 'live' and s['role'] == 'primary'" || fail "h2 does not serve: $(on_host h2 tripod list)"
wait "$load" || fail "the client says: $(tail -n 20 load.txt) $(cat load.json)"

gone() { ! on_host "$1" xl list "$2"; }
wait_until 20 gone h1 web1
wait_until 20 gone h3 web1--incoming
on_host h2 xl list web1
expect_equal "$(on_host h1 tripod list | wc -l)" 1 "replicas that h1 still lists"
expect_failure 3 on_host h1 tripod status web1
web1_answers || fail "web1 does not answer on h2"
expect_match "$(on_host h2 tripod status --json web1)" '"network_moved"' "the events on h2"
