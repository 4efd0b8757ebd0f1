# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The part `servers` of scripts/bench: what unmodified servers do for an outside client, while the VM is unprotected,
# protected, and checkpointed by `xl remus`. Hosts and client have fixed shares of the processors, the same in all columns.
# A line of JSON for each measurement goes to servers.jsonl. Sourced by bench.
# shellcheck disable=SC2154
quotas=${BENCH_QUOTAS:-h1=0.8,h2=0.4,h3=0.4,client=0.4}
read -ra bench_servers <<< "${BENCH_SERVERS:-redis nginx memcached unbound}"

# Prints the seconds of processor time that dom0 and web1 have used: "12.3 4.5"
cpu_seconds() { lab exec h1 -- xl list | awk '$1 == "Domain-0" { dom0 = $NF } $1 == "web1" { vm = $NF } END { print dom0, vm }'; }

# The counters of the primary's daemon, as JSON; {} where there are none.
counters() { lab exec h1 -- tripod status --json web1 2> /dev/null | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["counters"]))' 2> /dev/null || echo '{}'; }

# measure SERVER KIND LOAD_ARGUMENT...: appends to servers.jsonl
measure() {
    local server=$1 kind=$2 load before after counters_before counters_after
    shift 2
    counters_before=$(counters)
    before=$(cpu_seconds)
    load=$(lab netns -- "$PWD/build/bin/server-load" "$@" -s "$load_seconds") || progress "$server, $kind: ${load:-no answer}"
    after=$(cpu_seconds)
    counters_after=$(counters)
    python3 - "$server" "$kind" "$before" "$after" "$counters_before" "$counters_after" "${load:-null}" >> "$out/servers.jsonl" << 'EOT'
import json, sys
server, kind, before, after, *documents = sys.argv[1:]
before, after = ([float(figure) for figure in text.split()] for text in (before, after))
counters_before, counters_after, load = (json.loads(text) for text in documents)
row = {"server": server, "kind": kind, "load": load, "dom0_cpu_s": after[0] - before[0], "guest_cpu_s": after[1] - before[1],
       "counters": {name: value - (0 if name.endswith("_us") or name == "gate_held" else counters_before.get(name, 0))
                    for name, value in counters_after.items() if isinstance(value, (int, float))}}
print(json.dumps(row))
EOT
}

# measure_all SERVER KIND
measure_all() {
    local server=$1 kind=$2 clients words
    # shellcheck source=scripts/lab/servers/nginx
    words=$(. "scripts/lab/servers/$server" && echo "$load")
    # shellcheck disable=SC2086
    for clients in 4 16; do measure "$server" "$kind" $words -c "$clients"; done
    # shellcheck disable=SC2086
    [[ $server != redis ]] || measure "$server" "$kind" $words -c 4 -P 8
}

# checkpointed SERVER MS: `xl remus` to nowhere. Memory is copied at each checkpoint, and thrown away; output is not held
# (Debian's libxl cannot), so a real one would be slower by that.
checkpointed() {
    local server=$1 interval=$2
    lab exec h1 -- sh -c "setsid xl remus -Fbnd -i $interval web1 nowhere > /tmp/remus.log 2>&1 < /dev/null & echo \$! > /tmp/remus.pid"
    sleep 8 # the first round copies all memory
    if lab exec h1 -- sh -c 'kill -0 $(cat /tmp/remus.pid)' 2> /dev/null; then
        measure_all "$server" "remus $interval ms"
    else
        progress "$server: xl remus does not run: $(lab exec h1 -- tail -n 1 /tmp/remus.log)"
    fi
    lab exec h1 -- sh -c 'kill $(cat /tmp/remus.pid)' 2> /dev/null || true
}

part_servers() {
    local server interval
    : > "$out/servers.jsonl"
    echo "$quotas" > "$out/servers.quotas"
    progress "servers, with quotas $quotas"
    lab up --web1 --quota "$quotas" || { progress "the part servers needs CPU quotas"; return 0; }
    for server in "${bench_servers[@]}"; do
        progress "$server: unprotected"
        lab serve h1 "$server" 2> "$out/serve.log" || { progress "$server does not come up: $(tail -n 1 "$out/serve.log")"; continue; }
        measure_all "$server" unprotected
        progress "$server: protected with 2 backups"
        if lab exec -t 300 h1 -- tripod protect -q web1 h2 h3; then
            measure_all "$server" protected
            lab exec -t 60 h1 -- tripod unprotect -q web1 || true
        fi
        for interval in 200 1000; do
            progress "$server: xl remus, $interval ms"
            # A VM whose checkpointing was ended may be left standing.
            lab serve h1 "$server" 2> "$out/serve.log" || { progress "$server does not come up again"; continue; }
            checkpointed "$server" "$interval"
        done
    done
    lab down
}
