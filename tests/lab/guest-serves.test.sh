#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The guest's redis answers the outside client: in a guest from the snapshot, and in one created now.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

redis() { client timeout 5 redis-cli -h 10.77.0.50 "$@"; }
ping_redis() { [[ $(redis ping) == PONG ]]; }

lab_up --web1 h1 h2
wait_until 10 ping_redis
expect_equal "$(redis set key value)" OK SET
expect_equal "$(redis get key)" value GET
expect_match "$(on_host h1 xl list)" '^web1 ' "xl list on h1"

# The guest's clock runs.
first=$(redis time | head -n 1)
sleep 2
second=$(redis time | head -n 1)
((second - first >= 1 && second - first <= 5)) || fail "two seconds took $((second - first)) s in the guest"

# One address, one guest: gone here before it comes there.
on_host h1 xl destroy web1
expect_failure any redis ping
on_host h2 xl create -q /etc/xen/web1.cfg
wait_until 30 ping_redis
expect_equal "$(redis get key)" "" "a key of the other guest"
expect_match "$(on_host h2 cat /var/log/xen/console/guest-web1.log)" GUEST-READY "the guest's console"
wait_until 10 grep -q GUEST-READY "$repository/build/lab/run/$LAB/h2.guests.log"
