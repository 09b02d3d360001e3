#!/bin/sh
# Makes a stand-in for the official image debian:bookworm-slim by debootstrap, for machines that can't pull
# it:   tests/compose/base-image.sh TAG      (as root)
# As in the official one, packages are unpacked without waiting for the disk; and as in its slim form, no
# documentation, manual pages or translations are kept or get installed.
set -eu
tag=${1:?usage: base-image.sh TAG}
here=$(cd "$(dirname "$0")" && pwd)

root=$(mktemp -d "${TMPDIR:-/tmp}/shop-base.XXXXXX")
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$root"
"$here/../support/debian-root.sh" "$root"

echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/docker"
cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'END'
force-unsafe-io
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
tar -C "$root" --numeric-owner -c . | docker import -c 'CMD ["bash"]' - "$tag" >/dev/null
