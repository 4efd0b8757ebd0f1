# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# One emulated host: how its QEMU is started, spoken to and stopped. Files of host NAME in $run:
#   NAME.pid           QEMU's process
#   NAME.qmp           QEMU's control socket (QMP)
#   NAME.serial        the serial console (socket); everything it ever said is in NAME.console.log
#   NAME.guests.log    what the host's guests said on their consoles
#   NAME.tripodd.log   what its daemon logged
#   NAME.qemu.log      QEMU's own complaints

HOST_MEMORY=${LAB_HOST_MEMORY:-1536M}
# Software emulation by default: /dev/kvm may exist and still not run Xen. LAB_ACCEL=kvm to try. LAB_ACCEL=icount is
# slower, and its clocks count instructions: a nanosecond each.
ACCEL=${LAB_ACCEL:-tcg}

qemu_binary=qemu-system-x86_64

# Everything that makes up the machine, apart from where its RAM and its sockets are. The snapshots' key covers it.
# -cpu max panics dom0. bootscrub=0 leaves untouched RAM untouched, which keeps the snapshot small.
machine_arguments() {
    local cpu=(-accel "tcg,thread=multi,tb-size=256" -cpu "qemu64,+svm,+rdrand")
    case $ACCEL in
        kvm) cpu=(-accel kvm -cpu host) ;;
        icount) cpu=(-accel "tcg,thread=single,tb-size=256" -icount shift=0,sleep=off -cpu "qemu64,+svm,+rdrand") ;;
    esac
    printf '%s\n' -machine pc,memory-backend=ram,usb=off -nodefaults -no-user-config -no-reboot -display none \
        "${cpu[@]}" -m "$HOST_MEMORY" -smp 1 \
        -kernel build/lab/xen -append "console=com1 com1=115200,8n1 dom0_mem=820M,max:820M bootscrub=0 loglvl=all guest_loglvl=all noreboot" \
        -initrd "build/kernel/vmlinuz console=hvc0 rdinit=/init,build/lab/dom0.img"
}

# start_qemu NAME N RAM_FILE shared|private [QEMU_ARGUMENT...]
#   N        whose taps it gets
#   shared   the guest's writes go to RAM_FILE; private: RAM_FILE stays as it is, the writes are this QEMU's own
start_qemu() {
    local name=$1 n=$2 ram=$3 mode=$4
    shift 4
    local share=off arguments network=() net slot=3 prefix=77
    [[ $mode == private ]] || share=on
    mapfile -t arguments < <(machine_arguments)
    for net in front back ctl; do
        network+=(-netdev "tap,id=$net,ifname=$net$n,script=no,downscript=no"
                  -device "virtio-net-pci,netdev=$net,mac=52:54:00:$prefix:00:00,addr=$slot,romfile=")
        slot=$((slot + 1)) prefix=$((prefix + 1))
    done
    rm -f "$run/$name".{pid,qmp,serial}
    ip netns exec "$LAB" "$qemu_binary" -name "$LAB-$name" "${arguments[@]}" \
        -object "memory-backend-file,id=ram,size=$HOST_MEMORY,mem-path=$ram,share=$share" \
        -chardev "socket,id=serial,path=$run/$name.serial,server=on,wait=off,logfile=$run/$name.console.log,logappend=on" -serial chardev:serial \
        -chardev "file,id=guests,path=$run/$name.guests.log,append=on" \
        -device virtio-serial-pci,addr=6 -device virtserialport,chardev=guests,name=guests \
        -chardev "file,id=tripodd,path=$run/$name.tripodd.log,append=on" -device virtserialport,chardev=tripodd,name=tripodd \
        -chardev "socket,id=qmp,path=$run/$name.qmp,server=on,wait=off" -mon chardev=qmp,mode=control \
        "${network[@]}" -daemonize -pidfile "$run/$name.pid" "$@" < /dev/null >> "$run/$name.qemu.log" 2>&1 ||
        { cat "$run/$name.qemu.log" >&2; fail "$name: QEMU did not start"; }
}

# Prints the pid of NAME's QEMU if it runs. A pid file left over from before a reboot must not name a stranger.
qemu_pid() {
    local pid
    pid=$(cat "$run/$1.pid" 2> /dev/null) || return 1
    [[ -n $pid ]] && tr '\0' '\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qxF -e "$LAB-$1" && echo "$pid"
}

qemu_stopped() { ! grep -h '^State:' "/proc/$(qemu_pid "$1")"/task/*/status | grep -qv 'T (stopped)'; }

# QEMU dies at once and without a word to the guest, like a host that loses power. Waits until it is gone.
kill_qemu() {
    local pid
    pid=$(qemu_pid "$1") || return 0
    kill -KILL "$pid" 2> /dev/null || true
    while [[ -e /proc/$pid ]] && ! grep -q '^State:.Z' "/proc/$pid/status" 2> /dev/null; do sleep 0.01; done
}

# Capability of the migration stream: RAM that is a shared file is not in it. Both ends must say so.
ignore_shared='{"capabilities": [{"capability": "x-ignore-shared", "state": true}]}'

# start_from_state NAME N PREFIX shared|private: a host from PREFIX.ram and PREFIX.state
start_from_state() {
    start_qemu "$1" "$2" "$3.ram" "$4" -incoming defer
    qmp "$1" migrate-set-capabilities "$ignore_shared" migrate-incoming "{\"uri\": \"exec:cat $3.state\"}" > /dev/null
}

# qmp NAME {COMMAND [ARGUMENTS_AS_JSON]}...: prints each answer as JSON
qmp() { python3 scripts/lab/qmp "$run/$1.qmp" "${@:2}"; }
