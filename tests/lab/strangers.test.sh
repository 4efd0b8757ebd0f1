#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What strangers, and admins in a hurry, do while a VM is protected: malformed bytes at every door of every daemon, and
# commands that cannot be carried out now. Service and protection go on. In the end unprotect undoes all that protect
# did, and protect works again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"

replicas() { for host in h1 h2 h3; do on_host "$host" sh -c "pidof tripodd; tripod list | awk '{ print \$1, \$2, \$3, \$4 }'; xl list | awk '{ print \$1, \$2 }'"; done; }
refused() {
    expect_failure "$1" "${@:4}"
    expect_match "$(head -n 1 <<< "$failure_output")" "$2" "first line of '${*:4}'"
    expect_match "$(tail -n +2 <<< "$failure_output")" "$3" "the remedy of '${*:4}'"
    echo "  exit $1: $(tr '\n' ' ' <<< "$failure_output")"
}

lab_up --web1
on_host h1 sh -c 'xl list | cut -c 1-60; bridge link | cut -d " " -f 2- | sort' > unprotected.txt
protect_web1
replicas > before.txt

refused 5 'web1 is protected' 'tripod list' on_host h1 tripod protect -q web1 h2 h3
refused 5 'web1' 'tripod list' on_host h2 tripod protect -q web1 h1 h3
refused 11 'web1' 'backup' on_host h1 tripod failover -q web1
refused 11 'primary.*web1' 'h1' on_host h2 tripod unprotect -q web1
diff before.txt <(replicas) || fail "a refused command changed something"

# -- at every door: TCP from outside, the local socket from inside; while a client writes
ip -n "$LAB" addr add 10.78.0.100/24 dev back
redis_load -c 2 -s 40 --reply-timeout-ms 20000 --stop-file "$PWD/stop" --ready-file "$PWD/ready" &
load=$!
wait_until 30 test -e ready
for host in h1 h2; do
    ports=$(on_host "$host" ss -Hltnp | sed -n 's/.*10\.78\.0\.[0-9]*:\([0-9]*\) .*tripodd.*/\1/p' | sort -u)
    expect_match "$ports" '^7480$' "ports of tripodd on $host"
    for port in $ports; do
        client timeout 100 "$repository/build/bin/hostile-client" tcp "10.78.0.${host#h}" "$port" "$RANDOM"
    done
    on_host "$host" timeout 100 hostile-client unix /run/tripod/tripodd.sock "$RANDOM"
done
touch stop
wait "$load" || fail "the client was disturbed: $(cat load.json)"
wait_until 60 status_is h1 "s['state'] == 'protected'"
last=$(status_of h1 "s['index']['last']")
for host in h2 h3; do wait_until 60 status_is "$host" "s['index']['applied'] >= $last and not s['divergence']"; done
diff before.txt <(replicas) || fail "malformed bytes changed something (a daemon that started anew?)"

# -- the way back, and forth again
web1=$(on_host h1 xl domid web1)
on_host h1 tripod unprotect -q web1
wait_until 30 sh -c '! "$0" exec h2 -- xl list | grep web1' "$repository/scripts/lab/lab"
wait_until 30 sh -c '! "$0" exec h3 -- xl list | grep web1' "$repository/scripts/lab/lab"
for host in h1 h2 h3; do expect_equal "$(on_host "$host" tripod list | tail -n +2)" "" "replicas on $host after unprotect"; done
expect_equal "$(on_host h1 xl domid web1)" "$web1" "web1's domain, which ran on"
on_host h1 sh -c 'xl list | cut -c 1-60; bridge link | cut -d " " -f 2- | sort' | diff <(sed 's/  *[-rb]*$//' unprotected.txt) <(sed 's/  *[-rb]*$//') || fail "unprotect left something behind on h1"
redis_load -c 2 -s 2 || fail "the client is not content after unprotect: $(cat load.json)"
protect_web1
redis_load -c 2 -s 2 || fail "the client is not content when protected again: $(cat load.json)"
last=$(status_of h1 "s['index']['last']")
for host in h2 h3; do wait_until 60 status_is "$host" "s['index']['applied'] >= $last"; done
