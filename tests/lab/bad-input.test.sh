#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
# Bad input: a clear error, and nothing changed. Each refusal ends with its documented exit code, names the thing and a
# remedy, and leaves VMs, bridges and replicas on all hosts as they were.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
hosts=(h1 h2 h3)

# What a failed command might have left behind.
state_of_all() {
    for host in "${hosts[@]}"; do
        echo "== $host"
        on_host "$host" sh -c "xl list | awk '{ print \$1, \$2, \$3, \$4 }'; bridge link | sed 's/^[0-9]*: //; s/state [a-z]* //' | sort; ip -br link | awk '{ print \$1 }' | sort
            xenstore-list /local/domain; pidof tripodd > /dev/null && tripod list | awk '{ print \$1, \$2, \$3 }'; true"
    done
}

# refused STATUS NAMED REMEDY COMMAND...: NAMED must match the first line of what it says, REMEDY what follows
refused() {
    local status=$1 named=$2 remedy=$3
    shift 3
    expect_failure "$status" "$@"
    expect_match "$(head -n 1 <<< "$failure_output")" "$named" "first line of '$*'"
    expect_match "$(tail -n +2 <<< "$failure_output")" "$remedy" "the remedy of '$*'"
    state_of_all | diff before.txt - > changes.txt || fail "'$*' changed something: $(cat changes.txt)"
    web1_answers || fail "web1 does not answer after '$*'"
    echo "  exit $status: $(tr '\n' ' ' <<< "$failure_output")"
}
on_h1() { on_host h1 tripod "$@"; }
protect() { on_host h1 tripod protect -q "$@"; }

lab_up --web1
# Guests of other kinds, on h1, created and never started: PVH, with two vCPUs, with a kernel that has no BTF.
objcopy --remove-section .BTF --remove-section .text --strip-all "$repository/build/kernel/vmlinux" no-btf
lab push h1 no-btf /root/
on_host h1 sh -ec '
    printf "name=\"pvh1\"\ntype=\"pvh\"\nkernel=\"/root/vmlinux\"\nmemory=100\nvcpus=1\n" > /root/pvh1.cfg
    sed "s/web1/two1/; s/^vcpus=.*/vcpus=2/; s/^memory=.*/memory=100/; /^vif/d; /^ramdisk/d" /etc/xen/web1.cfg > /root/two1.cfg
    sed "s/web1/old1/; s/vmlinux/no-btf/; s/^memory=.*/memory=80/; /^vif/d; /^ramdisk/d" /etc/xen/web1.cfg > /root/old1.cfg
    for vm in pvh1 two1 old1; do xl create -q -p /root/$vm.cfg; done'
state_of_all > before.txt

echo "-- names and hosts"
refused 3 'web9' 'xl list' protect web9 h2 h3
for command in status trace unprotect failover; do refused 3 'web9' 'xl list' on_h1 "$command" web9; done
refused 9 'web1' 'tripod list' on_h1 unprotect web1
refused 9 'web1' 'tripod list' on_h1 failover web1
refused 12 'h1' . protect web1 h1 h3
refused 12 'h1|10.78.0.1' . protect web1 10.78.0.1 h3
refused 12 'h2' . protect web1 h2 h2
refused 12 '1 backup' . protect web1 h2
refused 6 'h9' 'peers' protect web1 h2 h9

echo "-- guests"
refused 8 'Domain-0' . protect Domain-0 h2 h3
refused 8 'two1.* 2 vCPU' 'vcpus=1' protect two1 h2 h3
refused 8 'pvh1 is not a PV guest' 'type="pv"' protect pvh1 h2 h3
refused 8 'no-btf.*BTF' profile protect old1 h2 h3
refused 8 'no-btf.*BTF' profile protect web1 h2 h3 --profile /root/no-btf
refused 8 'no-such-kernel' . protect web1 h2 h3 --profile /root/no-such-kernel
refused 8 '/etc/hostname' . protect web1 h2 h3 --profile /etc/hostname
refused 7 'h2.*no bridge nowhere' 'bridge' protect web1 h2 h3 --bridge nowhere

echo "-- backups that cannot"
lab daemon stop h3
state_of_all > before.txt
refused 6 'h3' 'tripodd' protect web1 h2 h3
refused 4 . tripodd on_host h3 tripod list
lab daemon start h3
state_of_all > before.txt
lab cut h3 back
refused 6 'h3' 'network' protect web1 h2 h3
lab heal
lab daemon stop h2
lab push h2 "$repository/build/other-interface/tripodd" /usr/sbin/
lab daemon start h2
state_of_all > before.txt
refused 7 'h2.*interface version 999.* 2' 'same release' protect web1 h2 h3
refused 10 'interface version 2.* 999' 'same release' on_host h2 tripod protect -q web1 h1 h3
lab daemon stop h2
lab push h2 "$repository/build/bin/tripodd" /usr/sbin/
lab daemon start h2
lab kill h3
lab boot h3 "$repository/build/lab/stock-xen"
state_of_all > before.txt
refused 7 'h3.*not the patched' 'boot' protect web1 h2 h3
refused 10 'Xen' 'boot|patched' on_host h3 tripod protect -q web1 h1 h2
