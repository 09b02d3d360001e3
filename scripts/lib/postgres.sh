# shellcheck shell=bash
# A private PostgreSQL cluster in a directory of its own: loopback TCP and a Unix socket, scram
# passwords. PostgreSQL refuses to run as root, so root runs it as an unprivileged user. Sourced
# after common.sh.
#
# DIR/secrets/postgres  the superuser's password     DIR/pgpass       passwords of all roles (libpq)
# DIR/pg-home           where data and socket are    DIR/log/postgres.log

# Sets PG_BIN to the newest installed server's programs.
find_postgres() {
    local dir newest=''
    if [ -n "${PG_BIN:-}" ]; then
        [ -x "$PG_BIN/initdb" ] || die "PG_BIN=$PG_BIN has no initdb"
        return
    fi
    for dir in /usr/lib/postgresql/*/bin; do
        [ -x "$dir/initdb" ] || continue
        newest=$(printf '%s\n' "$newest" "$dir" | sort -V | tail -n 1)
    done
    [ -n "$newest" ] || newest=$(pg_config --bindir 2>/dev/null || true)
    [ -x "$newest/initdb" ] || die "no PostgreSQL server found: run 'make deps', or set PG_BIN"
    PG_BIN=$newest
}

# Sets PG_USER to the user that a new server runs as: the caller, or for root an unprivileged one.
find_postgres_user() {
    if [ "$(id -u)" != 0 ]; then
        PG_USER=$(id -un)
    elif [ -z "${PG_USER:-}" ]; then
        PG_USER=postgres
        id -u "$PG_USER" >/dev/null 2>&1 || PG_USER=nobody
    fi
    id -u "$PG_USER" >/dev/null 2>&1 || die "no user $PG_USER: set PG_USER to an unprivileged user"
}

as_postgres() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null 2>&1; then
        setpriv --reuid "$PG_USER" --regid "$(id -g "$PG_USER")" --clear-groups -- "$@"
    else
        runuser -u "$PG_USER" -- "$@"
    fi
}

# Sets PG_HOME (data/ and socket/). It is DIR/postgres if the server's user can enter it and the path of its
# socket is short enough for the kernel (107 bytes); otherwise a directory in /var/tmp. The server
# of an existing cluster runs as its owner, and for root PG_USER becomes that.
locate_postgres() { # DIR
    if [ -s "$1/pg-home" ]; then
        PG_HOME=$(cat "$1/pg-home")
        if [ "$(id -u)" = 0 ] && [ -d "$PG_HOME" ]; then
            PG_USER=$(stat -c %U "$PG_HOME")
        fi
        return
    fi
    PG_HOME=$1/postgres
    mkdir -p "$PG_HOME"
    [ "$(id -u)" != 0 ] || chown "$PG_USER" "$PG_HOME"
    chmod 700 "$PG_HOME"
    if [ ${#PG_HOME} -gt 75 ] || ! as_postgres test -w "$PG_HOME"; then
        rmdir "$PG_HOME"
        PG_HOME=$(mktemp -d /var/tmp/outbox-postgres.XXXXXX)
        [ "$(id -u)" != 0 ] || chown "$PG_USER" "$PG_HOME"
    fi
    printf '%s\n' "$PG_HOME" >"$1/pg-home"
}

# Adds or replaces a role's line in DIR/pgpass.
remember_password() { # DIR ROLE PASSWORD
    local file=$1/pgpass
    (
        umask 077
        { grep -v "^\*:\*:\*:$2:" "$file" 2>/dev/null || true; } >"$file.new"
        printf '*:*:*:%s:%s\n' "$2" "$3" >>"$file.new"
        mv "$file.new" "$file"
    )
}

init_postgres() { # DIR
    local password reason
    mkdir -p "$1/secrets" "$1/log"
    chmod 700 "$1/secrets"
    password=$(random_hex 24)
    (umask 077 && printf '%s\n' "$password" >"$1/secrets/postgres")
    remember_password "$1" postgres "$password"
    # The data directory of an interrupted initdb is of no use.
    rm -rf "$PG_HOME/data"
    as_postgres mkdir -p "$PG_HOME/socket"
    # Nobody else can enter PG_HOME.
    printf '%s\n' "$password" | as_postgres tee "$PG_HOME/pwfile" >/dev/null
    reason=$(cd / && as_postgres "$PG_BIN/initdb" -D "$PG_HOME/data" -U postgres --encoding=UTF8 \
        --locale=C.UTF-8 --auth=scram-sha-256 --pwfile="$PG_HOME/pwfile" --no-sync 2>&1) ||
        die "initdb failed in $PG_HOME: $(printf '%s' "$reason" | tail -n 1)"
    as_postgres rm "$PG_HOME/pwfile"
    as_postgres tee "$PG_HOME/data/conf.auto" >/dev/null <<CONF
# Written once by scripts/; the port and the socket are given on the command line.
listen_addresses = '127.0.0.1'
unix_socket_directories = '$PG_HOME/socket'
unix_socket_permissions = 0777
password_encryption = 'scram-sha-256'
max_connections = 300
log_line_prefix = '%m [%p] %q%u@%d %a '
CONF
    echo "include = 'conf.auto'" | as_postgres tee -a "$PG_HOME/data/postgresql.conf" >/dev/null
}

# By the shell's own kill: the program of that name may not be there.
owner_may_signal() { # PID
    # shellcheck disable=SC2016 # the inner shell's own
    as_postgres sh -c 'kill -0 "$0"' "$1" 2>/dev/null
}

# Sets PG_STATE to running, stopped or unknown, PG_PID when it is running, and PG_DOUBT when it is unknown.
#
# It asks the server's own tools, as the server's own user: in a container, not even root may look into another
# user's process. pg_ctl knows only whether the process in postmaster.pid exists, and after a crash that may be
# another one. The server is recognised by its working directory, which is the data directory, or because it
# answers at its socket; the latter also works from another container, where pids differ.
look_at_postgres() {
    local status=0 said cwd='' answers=''
    PG_STATE=unknown PG_PID='' PG_DOUBT=''
    if ! as_postgres test -x "$PG_HOME"; then
        PG_DOUBT="user $(id -un) can't look into $PG_HOME, which belongs to $(stat -c %U "$PG_HOME" 2>/dev/null || echo another user)"
        [ -e "$PG_HOME" ] || PG_STATE=stopped
        return
    fi
    # The server removes this file when it stops, and only then.
    as_postgres test -e "$PG_HOME/data/postmaster.pid" || { PG_STATE=stopped && return; }
    said=$(cd / && as_postgres "$PG_BIN/pg_ctl" -D "$PG_HOME/data" status 2>&1) || status=$?
    ! postgres_answers || answers=yes
    case $status in
    0)
        PG_PID=$(as_postgres head -n 1 "$PG_HOME/data/postmaster.pid" 2>/dev/null) || true
        PG_PID=${PG_PID#-} # of a single-user server
        cwd=$(as_postgres readlink "/proc/$PG_PID/cwd" 2>/dev/null) || true
        if [ "$cwd" = "$(as_postgres readlink -f "$PG_HOME/data")" ] || { [ -z "$cwd" ] && [ -n "$answers" ]; }; then
            PG_STATE=running
        elif [ -z "$cwd" ] && ! is_zombie "$PG_PID" && owner_may_signal "$PG_PID"; then
            PG_DOUBT="process $PG_PID may be its server, but /proc doesn't show it to user $PG_USER"
        elif [ -z "$answers" ]; then
            PG_STATE=stopped # the pid now belongs to another program
        fi
        ;;
    3) [ -n "$answers" ] || PG_STATE=stopped ;;
    *) PG_DOUBT="pg_ctl says: ${said##*$'\n'}" ;;
    esac
    [ "$PG_STATE" != unknown ] || [ -n "$PG_DOUBT" ] ||
        PG_DOUBT="a server answers in $PG_HOME/socket, but its process can't be seen from here: was it started in another container?"
}

postgres_answers() {
    local status=0
    as_postgres "$PG_BIN/pg_isready" -q -t 3 -h "$PG_HOME/socket" -p "$(postgres_port)" >/dev/null 2>&1 || status=$?
    [ "$status" -le 1 ] # 1: it is starting or stopping
}

# Ends the program if that can't be known: a guess could start a second server or delete data in use.
postgres_is_running() {
    look_at_postgres
    [ "$PG_STATE" != unknown ] || die "can't tell whether PostgreSQL is running in $PG_HOME: $PG_DOUBT"
    [ "$PG_STATE" = running ]
}

# The port a running server listens on.
postgres_port() {
    as_postgres sed -n 4p "$PG_HOME/data/postmaster.pid"
}

# Starts the server and waits until it accepts connections. EXTRA are more `-c name=value`.
start_postgres() { # DIR PORT [EXTRA]
    local log=$1/log/postgres.log
    touch "$log"
    [ "$(id -u)" != 0 ] || chown "$PG_USER" "$log"
    (
        cd /
        # pg_ctl opens the log as the server's user, who may not be able to enter DIR: hand it down.
        # shellcheck disable=SC2024
        as_postgres "$PG_BIN/pg_ctl" -D "$PG_HOME/data" -w -t 60 -s \
            -o "-p $2 ${3:-}" start >>"$log" 2>&1 9>&-
    ) || die "PostgreSQL did not start: $(grep -E 'FATAL|ERROR' "$log" | tail -n 1); see $log"
}

stop_postgres() { # MODE
    (cd / && as_postgres "$PG_BIN/pg_ctl" -D "$PG_HOME/data" -w -t 60 -s -m "$1" stop) ||
        die "PostgreSQL in $PG_HOME did not stop; nothing was deleted"
}

# psql as the superuser. The password comes from DIR/pgpass.
admin_psql() { # DIR PORT ARGUMENTS…
    local dir=$1 port=$2
    shift 2
    PGPASSFILE=$dir/pgpass PGOPTIONS='-c client_min_messages=warning' \
        psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres "$@"
}
