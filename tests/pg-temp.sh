#!/bin/sh
# Runs a command with a PostgreSQL cluster that lives as long as the command:
#   tests/pg-temp.sh COMMAND [ARGUMENT…]
# PGHOST, PGPORT, PGUSER and PGPASSFILE lead to it as superuser; PG_TEMP_DIR is its directory, for
# tests that stop and start it by scripts/pg-cluster.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || { echo "pg-temp.sh: usage: tests/pg-temp.sh COMMAND [ARGUMENT…]" >&2; exit 2; }

PG_TEMP_DIR=$(mktemp -d "${TMPDIR:-/tmp}/pg-temp.XXXXXX")
export PG_TEMP_DIR
# Without a cluster in it the directory is only removed; with one, drop refuses while the server may run.
trap 'if [ -s "$PG_TEMP_DIR/pg-home" ]; then "$root/scripts/pg-cluster" drop "$PG_TEMP_DIR"; else rm -rf "$PG_TEMP_DIR"; fi' EXIT
trap 'exit 130' INT TERM
settings=$("$root/scripts/pg-cluster" start "$PG_TEMP_DIR" -c fsync=off)
eval "$settings"
"$@"
