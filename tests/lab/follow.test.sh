#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
# Backups follow by replay, not by copying. After protect no guest memory crosses the network: what crosses it is the log.
# Each backup, promoted in isolation after a load, has the primary's data, down to the times that its commands took. An
# idle backup costs next to no CPU.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"

back_bytes() { on_host h1 cat /sys/class/net/back/statistics/tx_bytes; }
state_bytes() { for host in h1 h2 h3; do status_of "$host" "s['counters']['state_bytes']"; done; }

# The data, and what was done to it. The times come from the guest's clock, which replay reproduces to the microsecond.
describe_data() {
    "$@" dbsize
    "$@" info commandstats | grep -vE '^cmdstat_(ping|dbsize|info|debug)' | tr -d '\r'
    "$@" debug digest
}

# cpu_share HOST DOMAIN SECONDS: percent of a CPU that the domain used. Xen counts the time in which this machine had
# no CPU for the emulated host as used; that part is taken out.
vcpu_times() { cat "$1/schedstat" | cut -d ' ' -f 1,2; }
xl_time() { on_host "$1" xl list "$2" | awk 'END { print $6 }'; }
cpu_share() {
    local pid vcpu before after used
    pid=$(< "$repository/build/lab/run/$LAB/$1.pid")
    vcpu=$(dirname "$(grep -H . "/proc/$pid/task/"*/schedstat | tr : ' ' | sort -k 2 -n | tail -n 1 | cut -d ' ' -f 1)") # the busiest thread
    used=$(xl_time "$1" "$2")
    before=$(vcpu_times "$vcpu")
    sleep "$3"
    after=$(vcpu_times "$vcpu")
    python3 -c "
run0, wait0, run1, wait1 = map(int, '$before $after'.split())
used = $(xl_time "$1" "$2") - $used
print(f'{used * (run1 - run0) / (run1 - run0 + wait1 - wait0) / $3 * 100:.2f}')"
}

lab_up --web1
protect_web1
copied=$(state_bytes)
for bytes in $copied; do ((bytes > 16 << 20)) || fail "state transfer counts only $bytes bytes"; done

# -- under load
log_before=$(status_of h1 "s['counters']['log_bytes']")
back_before=$(back_bytes)
redis_load -c 4 -s 10 || fail "the client is not content: $(cat load.json)"
last=$(status_of h1 "s['index']['last']")
for host in h2 h3; do wait_until 120 status_is "$host" "s['index']['applied'] >= $last"; done
log=$(($(status_of h1 "s['counters']['log_bytes']") - log_before))
back=$(($(back_bytes) - back_before))
expect_equal "$(state_bytes)" "$copied" "guest memory that crossed the network"
echo "$(python3 -c 'import json; print(json.load(open("load.json"))["acknowledged"])') writes; log: $log bytes; sent to two backups: $back bytes"
((back > 2 * log)) || fail "$back bytes were sent for a log of $log bytes to two backups"
((back < 6 * log + (2 << 20))) || fail "$back bytes were sent for a log of $log bytes to two backups: what else was it?"
((back < 80 << 20)) || fail "$back bytes were sent: as much as the guest's memory"

# -- idle: other work on this machine can only make it look like more, so the least of several looks counts. How much it is
# depends on how fast the emulated processor is: 2.2 to 2.9 % were seen in one run. The bound is there to catch a copy that spins.
declare -A least
for ((try = 1; try <= 6; try++)); do
    for host in h2 h3; do cpu_share "$host" web1--incoming 20 > "share.$host" & done
    wait
    for host in h2 h3; do least[$host]=$(sort -n <(echo "${least[$host]:-100}") "share.$host" | head -n 1); done
    echo "idle backups used $(< share.h2) % (h2) and $(< share.h3) % (h3) of a CPU"
    ! python3 -c "import sys; sys.exit(not max(${least[h2]}, ${least[h3]}) < 5)" || break
    ((try < 6)) || fail "an idle backup uses at least ${least[h2]} % (h2), ${least[h3]} % (h3) of a CPU"
done

# -- the same data everywhere. Nobody speaks with redis from here on but this test.
primary=$(describe_data redis)
expect_match "$primary" '^cmdstat_set:calls=[0-9]{2,}' "what the load did"
asked=$(status_of h1 "s['index']['last']")
for host in h2 h3; do
    web1_answers || fail "web1 does not answer while $host becomes isolated"
    wait_until 60 status_is "$host" "s['index']['applied'] >= $asked"
    on_host "$host" tripod failover -q --isolated web1
    isolated=$(status_of "$host" "s['index']['applied']")
    # The copy has web1's address, on a bridge of this host alone.
    on_host "$host" sh -ec 'ip addr add 10.77.0.99/32 dev tripod-iso; ip route add 10.77.0.50/32 dev tripod-iso src 10.77.0.99'
    copy() { on_host "$host" timeout 60 redis-cli -h 10.77.0.50 "$@"; }
    expect_equal "$(describe_data copy)" "$primary" "the copy on $host"
    echo "$host: same data at index $isolated; the primary answered at $asked: $(tail -n 1 <<< "$primary")"
done
