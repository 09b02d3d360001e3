#!/bin/sh
# Makes a minimal Debian 12 by debootstrap in DIRECTORY, which must exist:
#   tests/support/debian-root.sh DIRECTORY     (as root)
# Its packages come from where this machine's own come from, by the same proxy, or from DEBIAN_MIRROR.
set -eu
root=${1:?usage: debian-root.sh DIRECTORY}

die() {
    echo "debian-root.sh: $1" >&2
    exit 1
}

# shellcheck disable=SC2016 # apt's own variables
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 ~ /^bookworm(-updates|-security)?$/ && $4 == "main"' | sort -u)
[ -z "${DEBIAN_MIRROR:-}" ] || sources="deb $DEBIAN_MIRROR bookworm main"
mirror=$(printf '%s\n' "$sources" | awk '$3 == "bookworm" {print $2; exit}')
[ -n "$mirror" ] || die "apt has no mirror of Debian 12 (bookworm) here: set DEBIAN_MIRROR"
[ "$(id -u)" = 0 ] || die "debootstrap needs root"
command -v debootstrap >/dev/null || die "debootstrap is not installed (Debian package debootstrap)"

log=$(mktemp "${TMPDIR:-/tmp}/debian-root.XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    die "debootstrap failed"
}
printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -iE '^Acquire::https?::Proxy' >"$root/etc/apt/apt.conf.d/machine-proxy" || true
