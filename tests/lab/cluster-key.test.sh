#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
# A host whose cluster key differs is not let near a VM's memory, and the admin is told which host that is. A daemon
# whose key is missing, or can be read by others, does not start, and says what to do.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
key=/etc/xen/tripod.key

lab_up --web1

echo "-- no key, no daemon"
lab daemon stop h2
on_host h2 mv "$key" "$key.good"
expect_failure 14 on_host h2 tripodd --check
expect_match "$failure_output" "$key: No such file" "what is missing"
expect_match "$failure_output" "head -c 32 /dev/urandom > $key" "how to make it"
on_host h2 sh -c "cp $key.good $key; chmod 644 $key"
expect_failure 14 on_host h2 tripodd --check
expect_match "$failure_output" "chmod 600 $key" "the remedy for a key that others may read"

echo "-- another key"
on_host h2 sh -c "umask 077; rm $key; head -c 32 /dev/urandom > $key; tripodd --check"
lab daemon start h2
expect_failure 16 on_host h1 tripod protect -q web1 h2 h3
expect_match "$failure_output" 'no RDMA connection to h2; peer 10\.78\.0\.2:[0-9]+ .*do not know its cluster key' "who and why"
expect_match "$failure_output" 'cluster_key_file' "the remedy"
echo "  $(tr '\n' ' ' <<< "$failure_output")"
expect_match "$(on_host h2 cat /var/log/tripodd.log)" 'web1: peer_rejected.*peer 10\.78\.0\.1:[0-9]+ does not know the cluster key' "the log of h2"
expect_match "$(on_host h1 cat /var/log/tripodd.log)" 'web1: peer_rejected.*peer 10\.78\.0\.2:[0-9]+ refused this replica' "the log of h1"
web1_answers || fail "web1 does not answer"
[[ $(on_host h1 tripod list | wc -l) -eq 1 ]] || fail "something is left of the attempt"

echo "-- put right"
lab daemon stop h2
on_host h2 mv "$key.good" "$key"
lab daemon start h2
protect_web1
web1_answers || fail "web1 does not answer when protected"
