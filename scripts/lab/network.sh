# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The lab's network: one network namespace, named like the lab, so that nothing of it touches the machine's own network.
#
#   bridge front 10.77.0.0/24   taps frontN   clients and guests; the outside client is 10.77.0.100 (52:54:00:77:00:64), in the namespace
#   bridge back  10.78.0.0/24   taps backN    between the hosts: Soft-RoCE and the daemons
#   (no bridge)  169.254.7.0/30 taps ctlN     one link per host, over which the lab itself talks to host-agent
#
# Host N is 10.77.0.N on front and 10.78.0.N on back. A tap set down is a cable pulled out.

network_up() {
    local n bridge
    ip netns add "$LAB"
    ip -n "$LAB" link set lo up
    for bridge in front back; do
        ip -n "$LAB" link add "$bridge" type bridge forward_delay 0
        ip -n "$LAB" link set "$bridge" up
    done
    ip -n "$LAB" link set front address 52:54:00:77:00:64
    ip -n "$LAB" addr add 10.77.0.100/24 dev front
    for n in "$@"; do
        for bridge in front back ctl; do
            ip -n "$LAB" tuntap add "$bridge$n" mode tap
            [[ $bridge == ctl ]] || ip -n "$LAB" link set "$bridge$n" master "$bridge"
            ip -n "$LAB" link set "$bridge$n" up
        done
        ip -n "$LAB" addr add 169.254.7.1/30 dev "ctl$n"
    done
}

network_exists() { [[ -e /run/netns/$LAB ]]; }

network_down() { ! network_exists || ip netns del "$LAB"; }
