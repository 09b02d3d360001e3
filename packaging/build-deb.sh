#!/bin/sh
# Builds the Debian package of outbox-relay: packaging/build-deb.sh VERSION TARGET-DIR
# Works on a copy of the sources: the tools expect debian/ at its top, and write beside it.
set -eu
version=${1:?usage: build-deb.sh VERSION TARGET-DIR}
target=${2:?usage: build-deb.sh VERSION TARGET-DIR}
root=$(cd "$(dirname "$0")/.." && pwd)
for tool in dpkg-buildpackage dh; do
    command -v "$tool" >/dev/null || {
        echo "build-deb.sh: $tool is missing: 'make deb' installs it" >&2
        exit 1
    }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$work/outbox-relay-$version
mkdir -p "$source" "$target"
for part in Makefile VERSION make scripts sql shared services outbox-relay packaging tests; do
    cp -R "$root/$part" "$source/"
done
cp -R "$root/packaging/debian" "$source/debian"
chmod +x "$source/debian/rules"
printf 'outbox-relay (%s) unstable; urgency=medium\n\n  * See the history of the repository.\n\n -- %s  %s\n' \
    "$version" "$(sed -n 's/^Maintainer: //p' "$source/debian/control")" "$(date -R)" >"$source/debian/changelog"
(cd "$source" && dpkg-buildpackage -us -uc -b >"$work/log" 2>&1) || { tail -n 30 "$work/log" >&2; exit 1; }
cp "$work"/*.deb "$target/"
ls "$target"/*.deb
