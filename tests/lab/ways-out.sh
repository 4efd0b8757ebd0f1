# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the guest's ways out share. Sourced after lib.sh, which sets $repository.
# shellcheck disable=SC2154
ways_out=$repository/tests/lab/ways-out

# What a frame of each way looks like in frames.txt. Those without a program are the answers of the guest's kernel.
declare -A ways=(
    [udp]="UDP to 9100 b'udp " [udp-write]="UDP to 9101 b'udp-write " [udp-ipv6]='IPv6 to ff02::1 protocol 17'
    [tcp-write]="TCP 9203 .*b'tcp-write " [sendfile]="TCP 9204 .*b'sendfile " [blocked-write]="TCP 9205 .*b'bbb"
    [connect]='TCP [0-9]+ to 9999 S' [close]='TCP 9207 to [0-9]+ FA' [shutdown]='TCP 9208 to [0-9]+ FA' [reset]='TCP 9209 to [0-9]+ RA?'
    [exit]='TCP 9210 to [0-9]+ FA' [keepalive]='TCP 9211 to [0-9]+ A' [igmp]='protocol 2 ' [raw-icmp]='protocol 1 type 8'
    [packet]='type 88b5' [arp]='ARP request from 10.77.0.50 for 10.77.0.50'
    [uring-before]="UDP to 9116 b'uring" [uring-after]="UDP to 9117 b'uring" [aio]="UDP to 9118 b'aio" [splice]="TCP 9219 .*b'splice"
    [pwritev2]="UDP to 9120 b'pwritev2" [x32]="UDP to 9121 b'x32" [sendmmsg]="UDP to 9122 b'sendmmsg"
    [int80]="UDP to 9123 b'int80 " [int80-32]="UDP to 9124 b'int80-32 " [sysenter-32]="UDP to 9125 b'sysenter-32" [vsyscall-32]="UDP to 9126 b'vsyscall-32"
)
declare -A kernels_ways=(
    [arp-reply]='ARP reply from 10.77.0.50' [ping]='protocol 1 type 0' [unreachable]='protocol 1 type 3' [syn-ack]='TCP 6379 to [0-9]+ SA'
    [closed-port]='TCP 7 to [0-9]+ RA' [forwarded]="IPv4 10.77.0.100 to 10.99.0.1 UDP to 7 b'anyone"
)

# Calls that the log has a form for; and those that it has none for.
# shellcheck disable=SC2034
ordinary_ways=(udp udp-write udp-ipv6 tcp-write sendfile blocked-write connect close shutdown reset exit keepalive igmp raw-icmp packet arp)
# shellcheck disable=SC2034
strange_ways=(uring-before uring-after aio splice pwritev2 x32 sendmmsg int80 int80-32 sysenter-32 vsyscall-32)

# start_ways_out: web1 with all its ways armed on h1, the capture (frames.txt) and the outside client (provoke WORD...)
start_ways_out() {
    lab serve h1 ways-out 2> serve.txt || fail "web1 does not come up: $(tail -n 3 serve.txt)"
    # The client knows the guest's MAC address, and its way to what the guest forwards, without asking.
    client ip neigh replace 10.77.0.50 lladdr 00:16:3e:77:00:50 dev front nud permanent
    client ip route add 10.99.0.0/24 via 10.77.0.50
    lab netns -- "$ways_out/capture" 10.77.0.50 00:16:3e:77:00:50 "$PWD/frames.txt" front1 front2 front3 &
    wait_until 20 grep -q ready frames.txt
    coproc provoker { exec "$repository/scripts/lab/lab" netns -- "$ways_out/provoke" 10.77.0.50 front "$repository/build/bin/ways-out"; }
    local line
    read -r line <&"${provoker[0]}" # it is ready
    provoke arm
}

# provoke COMMAND...: to the outside client; returns when it has done it
provoke() {
    local line
    echo "$*" >&"${provoker[1]}"
    read -r line <&"${provoker[0]}" || fail "the outside client ended: $*"
}

# frames FROM_NS UNTIL_NS [PATTERN]: lines of frames.txt between the two
frames() { awk -v from="$1" -v until="$2" '$1 >= from && $1 < until' frames.txt | grep -E -e "${3:-}" || true; }

# silent_while WAY...: with both backups stopped, for 20 s nothing of the guest is seen on the front network, whatever it
# does. Then h2 goes on; $continued is when.
silent_while() {
    local from until seen
    lab stop h2
    lab stop h3
    wait_until 60 status_is h1 "s['state'] == 'stalled'"
    sleep 3 # the lease, too, has run out
    from=$(date +%s%N)
    provoke go "$@"
    provoke provoke 20
    until=$(date +%s%N)
    seen=$(frames "$from" "$until")
    [[ -z $seen ]] || fail "$(wc -l <<< "$seen") frames of the guest were seen, by kind: $(cut -d ' ' -f 4- <<< "$seen" |
        sed -E "s/ b['\"].*//; s/TCP [0-9]{5,} to/TCP any to/; s/to [0-9]{5,}/to any/" | sort | uniq -c | sort -rn | head -n 40)"
    # shellcheck disable=SC2034
    continued=$(date +%s%N)
    lab cont h2
}

# arrived NUMBER WAY...: whether so many numbers of each have come; report.json. For wait_until
arrived() {
    provoke report "$PWD/report.json"
    python3 -c '
import json, sys
arrived = json.load(open("report.json"))["arrived"]
late = [name for name in sys.argv[2:] if len(arrived.get(name, [])) < int(sys.argv[1])]
assert not late, late' "$@"
}

# arrived_in_order WAY...: their numbers came from 0 on, without a gap, and none before $continued; report.json
arrived_in_order() {
    provoke report "$PWD/report.json"
    python3 - "$continued" "$@" << 'EOT' || fail "what was held did not arrive in order (report.json)"
import json, sys
continued, names = int(sys.argv[1]), sys.argv[2:]
arrived = json.load(open("report.json"))["arrived"]
for name in names:
    numbers = [number for number, _ in arrived.get(name, [])]
    assert len(numbers) > 20 and numbers == list(range(len(numbers))), (name, numbers)
    assert arrived[name][0][1] > continued, (name, "came too early")
EOT
}
