#!/bin/sh
# Builds every program and unit test for arm64 with Debian's cross compiler, and runs the unit tests under
# qemu:   tests/arm64/run.sh        (make arm64-test), as root
#
# All of it happens in a chroot, $BUILD/arm64/root, made by debootstrap at the first run and kept: the libraries
# of another processor stay out of this machine's packages. Remove it to have it made anew.
# qemu is named in each call, so nothing is registered with the kernel (binfmt_misc).
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-build}
case $build in /*) ;; *) build=$source/$build ;; esac
root=$build/arm64/root
log=$build/arm64/log
# What the build stage of the Dockerfile installs, and cmocka.
libraries='libc6-dev libmicrohttpd-dev libjansson-dev libpq-dev libcurl4-openssl-dev libssl-dev
    libargon2-dev libcmocka-dev'

die() {
    echo "arm64-test: $1" >&2
    exit 1
}

# A command in the chroot. Its /proc is mounted in a namespace that ends with it.
inside() { # COMMAND…
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

make_root() {
    rm -rf "$root"
    mkdir -p "$root"
    "$source/tests/support/debian-root.sh" "$root"
    inside dpkg --add-architecture arm64
    inside apt-get update -q >"$log" 2>&1 || die "no packages for arm64, see $log"
    # shellcheck disable=SC2046,SC2086 # several words on purpose
    inside env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends make pkg-config \
        gcc-aarch64-linux-gnu qemu-user-static $(printf '%s:arm64 ' $libraries) >>"$log" 2>&1 ||
        die "the cross compiler can't be installed, see $log"
    touch "$root/complete"
}

copy_sources() {
    mkdir -p "$root/src"
    tar -C "$source" --exclude node_modules -c Makefile VERSION make scripts sql shared services outbox-relay docs \
        tests/unit tests/support | tar -C "$root/src" -x
}

cross_make() { # TARGET…
    inside env PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig \
        EMULATOR=qemu-aarch64-static PACKAGES=ignore \
        make -C /src --no-print-directory CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar "$@"
}

# Each is for arm64 indeed (e_machine of its ELF header) and starts.
check_programs() {
    for program in "$root"/src/build/bin/*; do
        name=${program##*/}
        [ "$(od -An -tx2 -j18 -N2 "$program")" = ' 00b7' ] || die "$name is not for arm64"
        inside qemu-aarch64-static "/src/build/bin/$name" --version || die "$name does not start"
    done
}

[ "$(id -u)" = 0 ] || die "debootstrap and chroot need root"
mkdir -p "$build/arm64"
[ -e "$root/complete" ] || make_root
copy_sources
cross_make all
check_programs
cross_make unit
