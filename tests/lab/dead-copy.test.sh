#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Copies follow through a BGSAVE. A copy that is destroyed under its daemon: the primary knows at once, does not pass the VM on to it, and serves on. When
# the primary dies the other copy takes over, with the vote of the host that has no copy any more.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$repository/tests/lab/vm.sh"

[[ -x $repository/build/bin/tripodd ]] || skip "tripodd is not built"
backup_is() { status_is h1 "[b['state'] for b in s['backups'] if b['host'] == '$1'] == ['$2']"; }

lab_up --web1
protect_web1
expect_equal "$(redis set key before)" OK "a write before the loss"

# -- a child that saves leads no copy astray
redis bgsave
saved() { redis info persistence | grep -q 'rdb_saves:1' && redis info persistence | grep -q 'rdb_last_bgsave_status:ok'; }
wait_until 30 saved
asked=$(status_of h1 "s['index']['last']")
for host in h2 h3; do wait_until 20 status_is "$host" "s['index']['applied'] >= $asked"; done
status_is h1 "s['state'] == 'protected'" || fail "after BGSAVE: $(on_host h1 tripod status web1)"

on_host h2 xl destroy web1--incoming
wait_until 3 backup_is h2 lost
status_is h1 "s['state'] == 'degraded' and 'h2 is lost' in s['reason']" || fail "h1 says: $(on_host h1 tripod status web1)"
wait_until 3 status_is h2 "s['state'] == 'lost'"
expect_match "$(on_host h2 tripod status --json web1)" '"copy_lost"' "the events on h2"
expect_match "$(on_host h1 tripod status --json web1)" '"backup_lost"' "the events on h1"

# -- nobody gives the VM to a host that has no copy of it
expect_failure 11 on_host h2 tripod failover web1
expect_match "$failure_output" "cannot take over" "why h2 is refused"
on_host h1 xl list web1
web1_answers || fail "web1 does not answer after a failover was refused"
expect_equal "$(redis set key after)" OK "a write without h2's copy"
backup_is h3 ok || fail "h3's copy suffered"
asked=$(status_of h1 "s['index']['last']")
wait_until 20 status_is h3 "s['index']['applied'] >= $asked"

# -- h3 needs h2's vote
lab kill h1
wait_until 60 status_is h3 "s['state'] == 'live'"
wait_until 20 web1_answers
expect_equal "$(redis get key)" after "what was written last"
# The log told h2 that the VM lives elsewhere: what was left of its part is gone too.
has_left() { ! on_host h2 tripod status web1; }
wait_until 20 has_left
expect_failure 3 on_host h2 tripod status web1
