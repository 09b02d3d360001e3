#!/usr/bin/env bash
# The first process of a machine (machine.sh): gives it its own view of the system, then reaps what others leave
# behind.   machine-init.sh NAME READY-FILE
set -euo pipefail
hostname "$1"
ip link set lo up
mount --make-rprivate /

# What programs write where no option says otherwise: locks, sockets, lists of pods.
for directory in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$directory"; done

# A network's devices and a cgroup namespace show only through mounts made in them.
version_2=$(test ! -e /sys/fs/cgroup/cgroup.controllers || echo yes)
umount --lazy --recursive /sys
mount -t sysfs sysfs /sys
if [ "$version_2" ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    while IFS=: read -r _ controllers _; do
        [ -n "$controllers" ] || continue
        mkdir "/sys/fs/cgroup/${controllers#name=}"
        mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}"
    done </proc/self/cgroup
fi

# A kubelet sets these for the whole kernel unless they are as it wants them; here it finds them so.
tunables=/run/tunables
mkdir "$tunables"
while read -r path value; do
    echo "$value" >"$tunables/${path##*/}"
    mount --bind "$tunables/${path##*/}" "/proc/sys/$path"
done <<'LIST'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
LIST
echo 1 >/proc/sys/net/ipv4/ip_forward

touch "$2"
while :; do
    sleep 3600 &
    wait
done
