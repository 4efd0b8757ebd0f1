#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each server of scripts/lab/servers comes up in web1, and answers rightly, as often as it is asked.
# timeout: 600
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up --web1 --no-daemon h1
expect_failure 1 lab serve h1 no-such-server
for file in "$repository"/scripts/lab/servers/*; do
    server=${file##*/}
    # shellcheck source=scripts/lab/servers/nginx
    load=$(. "$file" && echo "$load")
    lab serve h1 "$server" 2> serve.txt || fail "$server does not come up: $(tail -n 3 serve.txt)"
    # shellcheck disable=SC2086
    client "$repository/build/bin/server-load" $load -c 4 -s 2 > "$server.json" || fail "$server under load: $(cat "$server.json")"
    python3 -c "import json; assert json.load(open('$server.json'))['requests'] > 20" || fail "$server hardly answers: $(cat "$server.json")"
done
