# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots: one template host is booted once, and every host of every lab starts from its state.
#
# RAM is a file that the template shares and that the hosts map privately (copy on write), so QEMU's migration stream
# holds only the devices' state (x-ignore-shared), starting a host copies nothing, and the hosts share what they do not write.
#
#   build/lab/snapshot/KEY/base.{ram,state}   a host that is up, without identity
#   build/lab/snapshot/KEY/web1.{ram,state}   the same with web1 created and redis answering
# KEY is a hash of all that goes into the machine.

snapshots=$PWD/build/lab/snapshot # absolute: QEMU writes there, from another folder
[[ $ACCEL == tcg ]] || snapshots+=-$ACCEL

snapshot_key() {
    { machine_arguments; "$qemu_binary" --version; sha256sum < build/lab/xen; sha256sum < build/kernel/vmlinuz; sha256sum < build/lab/dom0.img
      cat scripts/lab/qemu.sh scripts/lab/snapshot.sh; } | sha256sum | cut -c 1-16
}

# Prints the folder of the snapshot that fits what is built now; makes it first if there is none.
ensure_snapshot() {
    local key
    for file in build/lab/xen build/lab/dom0.img build/kernel/vmlinuz build/bin/host-exec; do
        [[ -e $file ]] || fail "$file is missing; run make lab-images"
    done
    key=$(snapshot_key)
    mkdir -p "$snapshots"
    exec 9> "$snapshots/lock"
    flock 9
    if [[ ! -e $snapshots/$key/complete ]]; then
        # A lab of its own. 9 stays here, or QEMU would hold the lock.
        LAB=tripod-snap-$$ scripts/lab/lab make-snapshot "$key" >&2 9>&- || fail "no snapshot could be made"
    fi
    exec 9>&-
    echo "$snapshots/$key"
}

make_snapshot() {
    local directory=$snapshots/$1 started=$SECONDS old
    progress "booting the template host (once for each new hypervisor or image)"
    for old in "$snapshots"/*/; do
        [[ $old == "$snapshots/*/" ]] || rm -rf "$old" # running hosts keep what they have mapped
    done
    mkdir -p "$directory" "$run"
    trap 'exit 130' INT TERM
    trap command_down EXIT
    network_up 1
    start_qemu template 1 "$directory/base.ram" shared
    wait_for_host template 1 120 || { tail -n 30 "$run/template.console.log"; fail "the template host did not come up (see $run)"; }
    progress "template host is up after $((SECONDS - started)) s"
    save_machine "$directory/base"

    # The RAM file now belongs to the snapshot: the template goes on as one of its hosts, on a copy.
    kill_qemu template
    cp --sparse=always "$directory/base.ram" "$directory/web1.ram"
    cp "$directory/base.state" "$directory/web1.state"
    start_from_state template 1 "$directory/web1" shared
    wait_for_host template 1 30 || fail "the template host did not come back from its snapshot"
    host_exec 1 xl create -q /etc/xen/web1.cfg
    host_exec 1 ip addr add 10.77.0.1/24 dev front
    local tries=0
    until [[ $(host_exec 1 redis-cli -h 10.77.0.50 ping 2> /dev/null) == PONG ]]; do
        ((++tries < 100)) || { host_exec 1 cat /var/log/xen/console/guest-web1.log; fail "redis in web1 did not answer (see $run)"; }
        sleep 0.2
    done
    host_exec 1 ip addr del 10.77.0.1/24 dev front
    save_machine "$directory/web1"
    kill_qemu template
    touch "$directory/complete"
    progress "snapshots are ready after $((SECONDS - started)) s"
    command_down
    trap - EXIT
    rm -rf "$run"
}

# Writes the devices' state to PREFIX.state; QEMU stops the template at that moment, so the RAM file fits it.
save_machine() {
    qmp template migrate-set-capabilities "$ignore_shared" migrate "{\"uri\": \"exec:cat > $1.state\"}" > /dev/null
    local status
    while status=$(qmp template query-migrate); do
        case $status in
            *'"status": "completed"'*) return 0 ;;
            *'"status": "failed"'*) fail "saving the machine's state failed: $status" ;;
        esac
        sleep 0.05
    done
}
