#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
# The drill, five times with different kill times: nothing acknowledged is lost or wrong, nobody is left hanging.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $repository/build/bin/tripodd ]] || skip "tripodd is not built"
for kill_after in 1 3 6.5 9.2 12; do
    "$repository/scripts/drill" -s 24 -k "$kill_after" -o "$PWD/drill-$kill_after" > "drill-$kill_after.txt" 2>&1 ||
        fail "h1 killed after $kill_after s: $(tail -n 25 "drill-$kill_after.txt")"
    echo "kill after $kill_after s: $(grep '^VERDICT' "drill-$kill_after.txt")"
done
