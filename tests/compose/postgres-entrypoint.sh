#!/bin/bash
# Entry point of the stand-in for the official PostgreSQL image (postgres.Dockerfile).
set -euo pipefail
if [ "${1:-}" != postgres ]; then exec "$@"; fi
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
        bash "$file"
    done
    pg_ctl -w -m fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
