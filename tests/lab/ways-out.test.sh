#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The programs of the test `silence` work: of a guest that is not protected, a frame of every way out is seen.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/ways-out.sh"

lab_up --web1 --no-daemon h1
start_ways_out
began=$(date +%s%N)
provoke go "${!ways[@]}"
provoke provoke 20
now=$(date +%s%N)
for name in "${!ways[@]}"; do
    [[ -n $(frames "$began" "$now" "${ways[$name]}") ]] || {
        said=$(grep -o "WAY $name .*" "$repository/build/lab/run/$LAB/h1.guests.log" | tail -n 1) || true
        # An emulated AMD processor has no sysenter for 32-bit programs; vsyscall-32 is what it has instead.
        [[ $name == sysenter-32 ]] || fail "no frame of $name; it said: $said"
    }
done
for name in "${!kernels_ways[@]}"; do
    [[ -n $(frames "$began" "$now" "${kernels_ways[$name]}") ]] || fail "no frame of the kernel's way $name"
done
wait_until 60 arrived 100 udp udp-write tcp-write sendfile sendmmsg
continued=$began
arrived_in_order udp udp-write tcp-write sendfile sendmmsg
large_write_arrived() {
    provoke report "$PWD/report.json"
    python3 -c 'import json; got = json.load(open("report.json"))["arrived"]["blocked-write"][-1][0]; assert got == 1 << 20, got'
}
wait_until 60 large_write_arrived
