#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A guest that makes calls for which the log has no form is held as well: with both backups stopped not one frame of it is
# seen. Its protection ends only when a majority has that in its log: a backup goes on, the group is dissolved, and the
# guest speaks again, unprotected.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
. "$(dirname "${BASH_SOURCE[0]}")/ways-out.sh"

protected_no_more() { ! on_host h1 tripod list | grep -E '^web1 ' | grep -v ' unprotected '; }

lab_up --web1
start_ways_out
protect_web1
silent_while "${strange_ways[@]}"
wait_until 60 protected_no_more
wait_until 60 web1_answers
expect_match "$(on_host h1 xl list)" '^web1 ' "the VM, after its protection ended"
wait_until 60 on_host h2 sh -c "! xl domid web1--incoming > /dev/null 2>&1"

# How protection was lost is a state, an event and a line in the log, until somebody has seen it.
expect_match "$(on_host h1 tripod list)" '^web1 .* primary +unprotected ' "the list"
expect_match "$(on_host h1 tripod status web1)" '^reason +: .+' "why"
status_is h1 "[e['name'] for e in s['events'] if e['name'] in ('broken', 'unprotected')] == ['broken', 'unprotected']" ||
    fail "the events: $(on_host h1 tripod status web1)"
expect_match "$(on_host h1 cat /var/log/tripodd.log)" 'web1: broken' "the log"
on_host h1 tripod unprotect web1
expect_equal "$(on_host h1 tripod list | wc -l)" 1 "what is listed once it was seen"
web1_answers || fail "web1 does not answer at the end"
