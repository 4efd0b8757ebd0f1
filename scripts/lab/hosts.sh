# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What is done inside the hosts, over their control links.

# host_exec N COMMAND [ARGUMENT...]
host_exec() { build/bin/host-exec "$LAB" "ctl$1" "${@:2}" < /dev/null; }

# wait_for_host NAME N SECONDS: until its agent answers
wait_for_host() {
    local deadline=$((SECONDS + $3))
    until build/bin/host-exec -t 2 "$LAB" "ctl$2" true < /dev/null 2> /dev/null; do
        qemu_pid "$1" > /dev/null || { cat "$run/$1.qemu.log" >&2; return 1; }
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# Gives a host that came out of the snapshot its identity: host_identity N
host_identity() {
    local n=$1
    build/bin/host-exec "$LAB" "ctl$n" sh -es << EOF || return 1
hostname h$n
echo h$n > /etc/hostname
cat > /etc/hosts << HOSTS
127.0.0.1 localhost
10.78.0.1 h1
10.78.0.2 h2
10.78.0.3 h3
10.77.0.1 h1-front
10.77.0.2 h2-front
10.77.0.3 h3-front
10.77.0.50 web1
10.77.0.100 client
HOSTS
ip link set eth0 address 52:54:00:77:00:0$n
ip link set back address 52:54:00:78:00:0$n
ip addr add 10.77.0.$n/24 dev front
ip addr add 10.78.0.$n/24 dev back
rdma link add rxe0 type rxe netdev back
EOF
    # It woke with the time of its snapshot.
    build/bin/host-exec --set-clock "$LAB" "ctl$n" > /dev/null
}

# Prints "OFFSET ERROR" in nanoseconds: host N's clock minus this machine's, and how wrong that may be.
clock_offset() { build/bin/host-exec --clock "$LAB" "ctl$1"; }

# push_file N SOURCE DESTINATION (a path, or a folder if it ends in /)
push_file() {
    local destination=$3
    [[ $destination != */ ]] || destination+=${2##*/}
    # Renamed into place: a program that runs cannot be written to.
    # shellcheck disable=SC2016
    build/bin/host-exec "$LAB" "ctl$1" sh -ec 'mkdir -p "$(dirname "$1")"; cat > "$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"' sh "$destination" "$(stat -L -c %a "$2")" < "$2"
}

# The cluster key of all hosts of all labs of this tree: made once, readable by its owner alone, as on real hosts.
cluster_key=$PWD/build/lab/cluster.key
make_cluster_key() {
    local new
    [[ ! -s $cluster_key ]] || return 0
    new=$(mktemp "$cluster_key.XXXXXX") # mode 0600; renamed, for another lab may be at it
    head -c 32 /dev/urandom > "$new"
    mv "$new" "$cluster_key"
}

# Prints a folder that holds, in the layout of a host, what was built here: daemon, commands, tools, their libraries;
# and the cluster key.
stage_programs() {
    local stage program name library
    stage=$(mktemp -d "$run/stage.XXXXXX")
    chmod 755 "$stage"
    mkdir -p "$stage"/usr/{bin,sbin,lib/xen/bin} "$stage/etc/xen"
    for program in build/bin/*; do
        name=${program##*/}
        [[ -f $program && -x $program ]] || continue
        case $name in
            *test* | host-agent | host-exec | redis-load | server-load | ways-out*) continue ;;
            tripodd) install -m 755 -s "$program" "$stage/usr/sbin/" ;;
            *) install -m 755 -s "$program" "$stage/usr/bin/" ;;
        esac
        while read -r library; do
            [[ -e build/lab/dom0-root$library || -e $stage$library ]] || { mkdir -p "$stage$(dirname "$library")"; cp -L "$library" "$stage$library"; }
        done < <(ldd "$program" 2> /dev/null | grep -o '/[^ ]*')
    done
    [[ ! -e $stage/usr/bin/tripod ]] || ln -s /usr/bin/tripod "$stage/usr/lib/xen/bin/xl-tripod"
    make_cluster_key
    install -m 600 "$cluster_key" "$stage/etc/xen/tripod.key"
    echo "$stage"
}

# push_stage N FOLDER
push_stage() {
    sed "s/@N@/$1/g" scripts/lab/tripod.conf > "$2.conf.$1"
    tar -C "$2" -cf - . | build/bin/host-exec "$LAB" "ctl$1" tar -C / -xf - && push_file "$1" "$2.conf.$1" /etc/xen/tripod.conf || return 1
    rm -f "$2.conf.$1"
}

# start_daemon N: unless it runs already. Its log is in the host's /var/log/tripodd.log, and in NAME.tripodd.log here.
start_daemon() {
    build/bin/host-exec "$LAB" "ctl$1" sh -s << 'EOF'
[ -x /usr/sbin/tripodd ] || exit 0
! pidof tripodd > /dev/null || exit 0
mkdir -p /run/tripod /var/lib/tripod
rm -f /run/tripod/tripodd.sock
port=$(grep -lx tripodd /sys/class/virtio-ports/*/name)
port=/dev/$(basename "$(dirname "$port")")
setsid sh -c "tripodd 2>&1 | tee -a /var/log/tripodd.log > $port" < /dev/null > /dev/null 2>&1 &
for i in $(seq 100); do
    [ ! -S /run/tripod/tripodd.sock ] || exit 0
    sleep 0.1
done
echo "tripodd did not start on $(hostname):" >&2
tail -n 5 /var/log/tripodd.log >&2
exit 1
EOF
}

# stop_daemon N: as a service manager would
stop_daemon() {
    build/bin/host-exec "$LAB" "ctl$1" sh -s << 'EOF'
pid=$(pidof tripodd) || exit 0
kill -TERM $pid
for i in $(seq 100); do
    pidof tripodd > /dev/null || exit 0
    sleep 0.1
done
kill -KILL $pid
EOF
}
