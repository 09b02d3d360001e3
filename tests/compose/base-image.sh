#!/bin/sh
# Makes a stand-in for the official image debian:bookworm-slim by debootstrap, for machines that can't pull
# it:   tests/compose/base-image.sh TAG      (as root)
# As in the official one, no documentation, manual pages or translations are kept or get installed.
set -eu
tag=${1:?usage: base-image.sh TAG}

# The packages come from where this machine's own come from, or from DEBIAN_MIRROR.
# shellcheck disable=SC2016 # apt's own variables
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 ~ /^bookworm(-updates|-security)?$/ && $4 == "main"')
[ -z "${DEBIAN_MIRROR:-}" ] || sources="deb $DEBIAN_MIRROR bookworm main"
mirror=$(printf '%s\n' "$sources" | awk '$3 == "bookworm" {print $2; exit}')
[ -n "$mirror" ] || { echo "base-image.sh: apt knows no mirror of bookworm: set DEBIAN_MIRROR" >&2; exit 1; }

[ "$(id -u)" = 0 ] || { echo "base-image.sh: debootstrap needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "base-image.sh: debootstrap is not installed (Debian package debootstrap)" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/tmp}/shop-base.XXXXXX")
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; echo "base-image.sh: debootstrap failed, see $root.log" >&2; exit 1; }
rm -f "$root.log"

cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'END'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
END
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root"/usr/share/info/* "$root"/usr/share/lintian/* "$root"/usr/share/locale/* "$root"/usr/share/man/* \
    "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
    "$root"/var/log/*.log "$root"/var/log/apt "$root"/debootstrap
printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
tar -C "$root" --numeric-owner -c . | docker import -c 'CMD ["bash"]' - "$tag" >/dev/null
