# shellcheck shell=bash
# Machines for the cluster, made of namespaces: each has its own network, mounts, processes and cgroups, and
# all that runs in it ends with its first process. Sourced by run.sh after scripts/lib/common.sh; needs WORK.
#
# The machines hang on one bridge, in the network of the machine "control"; this host's network is not touched.

readonly NETWORK=172.31.0 # control is .1, node N is .1N
MACHINES=()
declare -A MACHINE_PID=() KEEPER_PID=()

# The directories of a machine's cgroup, one per hierarchy, with the controllers: "DIRECTORY CONTROLLERS".
# Version 1: below this process's own, so that whoever limits or freezes the test does so to the pods. Version 2:
# below the root, as only there processes and groups may stand side by side.
cgroups_of() { # MACHINE
    local controllers path
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "/sys/fs/cgroup/$CGROUP-$1 unified"
        return
    fi
    while IFS=: read -r _ controllers path; do
        controllers=${controllers#name=}
        [ -z "$controllers" ] || [ ! -d "/sys/fs/cgroup/$controllers" ] ||
            echo "/sys/fs/cgroup/$controllers${path%/}/$CGROUP-$1 $controllers"
    done </proc/self/cgroup
}

make_cgroups() { # MACHINE
    local directory controllers
    while read -r directory controllers; do
        mkdir -p "$directory"
        if [ "$controllers" = cpuset ]; then
            cat "${directory%/*}/cpuset.cpus" >"$directory/cpuset.cpus"
            cat "${directory%/*}/cpuset.mems" >"$directory/cpuset.mems"
        elif [ "$controllers" = unified ]; then
            # What runs in the machine itself has a group of its own: see cgroups_of.
            sed 's/\</+/g' "$directory/cgroup.controllers" >/sys/fs/cgroup/cgroup.subtree_control
            mkdir -p "$directory/init"
            sed 's/\</+/g' "$directory/cgroup.controllers" >"$directory/cgroup.subtree_control"
        fi
    done < <(cgroups_of "$1")
}

# Moves the process BASHPID, a subshell, into the machine's cgroups.
enter_cgroups() { # MACHINE
    local directory controllers
    while read -r directory controllers; do
        [ "$controllers" != unified ] || directory=$directory/init
        echo "$BASHPID" >"$directory/cgroup.procs"
    done < <(cgroups_of "$1")
}

remove_cgroups() { # MACHINE
    local directory
    while read -r directory _; do
        find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done < <(cgroups_of "$1")
}

start_machine() { # MACHINE
    local name=$1 children
    make_cgroups "$name"
    (
        enter_cgroups "$name"
        exec unshare --net --uts --mount --pid --cgroup --fork --mount-proc --kill-child \
            bash "$CLUSTER/machine-init.sh" "$name" "$WORK/$name.ready" 9>&-
    ) &
    KEEPER_PID[$name]=$!
    MACHINES+=("$name")
    wait_until 30 test -e "$WORK/$name.ready" || die "machine $name does not start"
    # Before it may be what enter_cgroups has left, not reaped yet.
    read -r -a children <<<"$(cat "/proc/${KEEPER_PID[$name]}/task/${KEEPER_PID[$name]}/children")"
    MACHINE_PID[$name]=${children[-1]}
}

in_machine() { # MACHINE COMMAND…
    local name=$1
    shift
    (
        enter_cgroups "$name"
        exec nsenter --target "${MACHINE_PID[$name]}" --net --uts --mount --pid --cgroup -- "$@"
    )
}

# Runs a program in the background; its output goes to $WORK/log.
start_in() { # MACHINE COMMAND…
    local name=$1 program=${2##*/}
    shift
    in_machine "$name" "$@" </dev/null >"$WORK/log/$name-$program.log" 2>&1 9>&- &
}

stop_machines() {
    local name
    for name in "${MACHINES[@]}"; do
        kill -KILL "${KEEPER_PID[$name]}" 2>/dev/null || true
        wait "${KEEPER_PID[$name]}" 2>/dev/null || true
    done
    for name in "${MACHINES[@]}"; do
        wait_until 20 cgroups_are_empty "$name" || true
        remove_cgroups "$name"
    done
    MACHINES=()
}

cgroups_are_empty() { # MACHINE
    local directory
    while read -r directory _; do
        [ -z "$(find "$directory" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || return 1
    done < <(cgroups_of "$1")
}

# Plugs a machine into the bridge; both ends are made where they belong.
connect_machine() { # MACHINE ADDRESS
    ip link add eth0 netns "${MACHINE_PID[$1]}" type veth peer name "$1" netns "${MACHINE_PID[control]}"
    in_machine control ip link set "$1" master machines up
    in_machine "$1" ip address add "$2/24" dev eth0
    in_machine "$1" ip link set eth0 up
}

make_bridge() {
    in_machine control ip link add machines type bridge
    in_machine control ip address add "$NETWORK.1/24" dev machines
    in_machine control ip link set machines up
}
