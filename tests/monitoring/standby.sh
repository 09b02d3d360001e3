#!/usr/bin/env bash
# A standby of a stack's PostgreSQL, streaming from a slot of its own:
#   standby.sh start RUN_DIR DIRECTORY PORT    copies the server, starts the copy; DIRECTORY is made
#   standby.sh stop RUN_DIR DIRECTORY
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$ROOT/scripts/lib/common.sh"
# shellcheck source=scripts/lib/postgres.sh
. "$ROOT/scripts/lib/postgres.sh"

RUN_DIR=${2:?usage: standby.sh start|stop RUN_DIR DIRECTORY [PORT]}
PG_HOME=${3:?usage: standby.sh start|stop RUN_DIR DIRECTORY [PORT]}
find_postgres
find_postgres_user

case $1 in
start)
    mkdir -p "$PG_HOME"
    [ "$(id -u)" != 0 ] || chown "$PG_USER" "$PG_HOME"
    # shellcheck source=/dev/null
    . "$RUN_DIR/env"
    # --write-recovery-conf keeps the password in the copy, which only the server's user reads.
    PGPASSWORD=$(cat "$RUN_DIR/secrets/postgres") PGAPPNAME=standby as_postgres \
        "$PG_BIN/pg_basebackup" -D "$PG_HOME/data" -h 127.0.0.1 -p "$PG_PORT" -U postgres \
        --checkpoint=fast --no-sync --create-slot --slot=standby --write-recovery-conf
    (cd / && as_postgres "$PG_BIN/pg_ctl" -D "$PG_HOME/data" -w -t 60 -s \
        -l "$PG_HOME/log" -o "-p ${4:?PORT is missing}" start)
    ;;
stop)
    [ ! -e "$PG_HOME/data/postmaster.pid" ] || stop_postgres immediate
    rm -rf "$PG_HOME"
    ;;
esac
