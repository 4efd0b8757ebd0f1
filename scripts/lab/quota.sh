# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Fixed shares of the processors for a lab's hosts and its client, so that they behave like machines of their own and not
# like neighbours that steal time from each other. By cgroups, version 1 or 2, whichever has the `cpu` controller here.
# A lab's are under tripod-LAB, one for each host and one for `client`.

quota_period_us=10000 # short: a host that has used its share up stands still until the next one

# Prints "1 FOLDER" or "2 FOLDER": the version, and where that hierarchy is mounted.
quota_hierarchy() {
    local folder type options
    while read -r _ folder type options _; do
        case $type in
            cgroup) [[ ,$options, != *,cpu,* ]] || { echo "1 $folder"; return 0; } ;;
            cgroup2) ! grep -qsw cpu "$folder/cgroup.controllers" || { echo "2 $folder"; return 0; } ;;
        esac
    done < /proc/self/mounts
    echo "lab: no CPU quotas here: no cgroup hierarchy with the cpu controller is mounted (as by: mount -t cgroup2 none /sys/fs/cgroup)" >&2
    return 1
}

# quotas_up h1=0.8,client=0.4: makes the groups; processors' worth of time
quotas_up() {
    local version folder group pair name share
    local pairs=()
    IFS=, read -ra pairs <<< "$1"
    for pair in "${pairs[@]}"; do
        name=${pair%%=*} share=${pair#*=}
        [[ $name == client ]] || number_of "$name" > /dev/null
        [[ $share =~ ^[0-9]*\.?[0-9]+$ && $(bc <<< "$share >= 0.1 && $share <= 64") == 1 ]] || fail "--quota: a share is a number from 0.1 on, not '$pair'"
    done
    read -r version folder < <(quota_hierarchy) || fail "without quotas it would have started"
    group=$folder/tripod-$LAB
    mkdir -p "$group"
    if [[ $version == 2 ]]; then
        { echo +cpu > "$folder/cgroup.subtree_control" && echo +cpu > "$group/cgroup.subtree_control"; } 2> /dev/null ||
            { rmdir "$group"; fail "no CPU quotas here: $folder does not hand its cpu controller on"; }
    fi
    for pair in "${pairs[@]}"; do
        name=${pair%%=*} share=$(bc <<< "(${pair#*=} * $quota_period_us) / 1")
        mkdir -p "$group/$name"
        if [[ $version == 2 ]]; then
            echo "$share $quota_period_us" > "$group/$name/cpu.max"
        else
            # The quota last: it must fit the period.
            echo "$quota_period_us" > "$group/$name/cpu.cfs_period_us" && echo "$share" > "$group/$name/cpu.cfs_quota_us"
        fi || { quotas_down; fail "no CPU quotas here: this kernel has no bandwidth control for cgroups"; }
    done
}

# Prints the folder of that host's group (or client's), if it has one.
quota_group() {
    local folder
    for folder in /sys/fs/cgroup/tripod-"$LAB" /sys/fs/cgroup/*/tripod-"$LAB"; do
        [[ ! -d $folder/$1 ]] || { echo "$folder/$1"; return 0; }
    done
    return 1
}

# quota_join h1|client PID: with all its threads
quota_join() {
    local group
    group=$(quota_group "$1") || return 0
    echo "$2" > "$group/cgroup.procs"
}

# Prints h1's (or client's) share, if it has one.
quota_of() {
    local group quota period
    group=$(quota_group "$1") || return 1
    if [[ -e $group/cpu.max ]]; then
        read -r quota period < "$group/cpu.max"
    else
        quota=$(< "$group/cpu.cfs_quota_us") period=$(< "$group/cpu.cfs_period_us")
    fi
    bc <<< "scale=2; $quota / $period" | sed 's/^\./0./'
}

quotas_down() {
    local folder group pid tries=0
    for folder in /sys/fs/cgroup/tripod-"$LAB" /sys/fs/cgroup/*/tripod-"$LAB"; do
        [[ -d $folder ]] || continue
        for group in "$folder"/*/; do
            [[ -d $group ]] || continue
            # What the client left running goes on without a quota.
            while read -r pid; do echo "$pid" > "${folder%/*}/cgroup.procs" || true; done < "$group/cgroup.procs" 2> /dev/null
            until rmdir "$group" 2> /dev/null; do
                ((++tries < 50)) || { echo "lab: $group is still in use" >&2; return 0; }
                sleep 0.05
            done
        done
        rmdir "$folder"
    done
}
