#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Without Tripod a guest that is started anew elsewhere has lost everything, and the drill says so.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

status=0
"$repository/scripts/drill" --unprotected -s 40 -k 3 -o "$PWD/drill" > drill.txt 2>&1 || status=$?
[[ $status -eq 4 ]] || fail "the drill ended with status $status: $(tail -n 20 drill.txt)"
read -r acknowledged lost passed <<< "$(python3 -c 'import json; r = json.load(open("drill/report.json")); print(r["acknowledged"], r["lost"], r["passed"])')"
((acknowledged > 100)) || fail "only $acknowledged writes were acknowledged"
((lost > 50)) || fail "only $lost of $acknowledged writes are said to be lost"
expect_equal "$passed" False passed
[[ ! -e /run/netns/$LAB ]] || fail "the drill left its lab behind"
