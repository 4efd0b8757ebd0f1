#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All three hosts come out of the snapshot as themselves, on our Xen, with the right time.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up
for host in h1 h2 h3; do
    expect_equal "$(on_host "$host" hostname)" "$host" "host name"
    info=$(on_host "$host" xl info)
    # The patched hypervisor says so in its version.
    expect_match "$info" '^xen_version +: 4\.17\.5-tripod$' "xl info on $host"
    expect_match "$(on_host "$host" xl list)" '^Domain-0 +0 ' "xl list on $host"
    read -r offset error <<< "$(lab clock "$host")"
    ((offset < 50000000 && offset > -50000000)) || fail "clock of $host is off by $offset ns (+- $error)"
    # The kernel can hand frames of a bridge's port to a program.
    on_host "$host" nft 'table bridge probe { chain c { type filter hook prerouting priority 0; iifname "vif77.*" queue num 77; }; }' || fail "no queue on $host"
    on_host "$host" nft delete table bridge probe
done
for other in 10.77.0.2 10.78.0.2 10.77.0.3 10.78.0.3 10.77.0.100; do
    on_host h1 ping -q -c 1 -W 2 "$other" > /dev/null || fail "h1 cannot reach $other"
done
# The three are different machines on the wire.
expect_equal "$(for host in h1 h2 h3; do on_host "$host" cat /sys/class/net/{eth0,back}/address; done | sort -u | wc -l)" 6 "different MAC addresses"
