#!/bin/bash
# Entry point of the stand-in for the official PostgreSQL image (postgres.Dockerfile). Like that one's,
# it needs not be root, and runs a start-up script that is executable, but sources another.
set -Eeo pipefail
# Options alone are the server's, as in the official image.
case ${1:-} in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" != postgres ]; then exec "$@"; fi
[ "$(id -u)" != 0 ] || { echo "the stand-in is started as the user postgres only (uid 999)" >&2; exit 1; }
mkdir -p "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD_FILE:?set POSTGRES_PASSWORD_FILE}"
    initdb -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # As in the official image: the first start serves the socket alone, for the scripts.
    pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
    for file in /docker-entrypoint-initdb.d/*.sh; do
        [ -e "$file" ] || continue
        echo "running $file"
        # shellcheck disable=SC1090 # whichever there are
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
    done
    pg_ctl -w -m fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
