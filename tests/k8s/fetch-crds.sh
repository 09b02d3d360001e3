#!/bin/sh
# Copies the custom resource definitions out of Go modules: fetch-crds.sh TARGET MODULE@VERSION DIR …
set -eu
target=${1:?usage: fetch-crds.sh TARGET MODULE@VERSION DIR …}
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/crds"
while [ $# -ge 2 ]; do
    dir=$(cd "$work" && go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -d "$dir/$2" ] || { echo "fetch-crds.sh: $1 has no $2" >&2; exit 1; }
    cp "$dir/$2"/*.yaml "$work/crds/"
    shift 2
done
mkdir -p "$(dirname "$target")"
chmod -R u+w "$work/crds"
mv "$work/crds" "$target"
