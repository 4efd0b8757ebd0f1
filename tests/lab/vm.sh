# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What several lab tests do with web1. Sourced after lib.sh, which sets $repository.
# shellcheck disable=SC2154

# redis COMMAND...: asks web1 as the outside client
redis() { client timeout 20 redis-cli -h 10.77.0.50 "$@"; }
web1_answers() { [[ $(redis ping) == PONG ]]; }

# status_of HOST EXPRESSION: of `tripod status --json web1`, as the Python variable s
status_of() { on_host "$1" tripod status --json web1 | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"; }

# status_is HOST EXPRESSION: whether it is true; for wait_until
status_is() { local got; got=$(status_of "$1" "bool($2)") && [[ $got == True ]] || { on_host "$1" tripod list; false; }; }

protect_web1() {
    on_host h1 tripod protect -q web1 h2 h3
    wait_until 60 status_is h1 "s['state'] == 'protected'"
}

# redis_load ARGUMENT...: the client that writes and checks its answers; load.json has its report
redis_load() { client "$repository/build/bin/redis-load" -H 10.77.0.50 -o "$PWD/load.json" "$@"; }
