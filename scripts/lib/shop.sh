# shellcheck shell=bash
# The parts of the shop (deploy/*.tsv), their settings, and how each is started. Sourced
# after common.sh, postgres.sh and process.sh; needs ROOT and RUN_DIR.

BIN=${BIN:-$ROOT/build/bin}

declare -a SERVICES=() SOURCES=()
declare -A DEFAULT_PORT=([relay]=8010 [gateway]=8080 [pg]=5433) PUBLISHES=()

read_services() {
    local name port publishes
    while IFS=$'\t' read -r name port publishes; do
        case $name in '' | \#*) continue ;; esac
        SERVICES+=("$name")
        DEFAULT_PORT[$name]=$port
        PUBLISHES[$name]=$publishes
        [ "$publishes" != publishes ] || SOURCES+=("$name")
    done <"$ROOT/deploy/services.tsv"
}
read_services
# In the order in which they are started and shown.
# shellcheck disable=SC2034 # used by scripts/stack
PARTS=("${SERVICES[@]}" relay gateway)

upper() { # user-profile → USER_PROFILE
    local name=${1^^}
    printf '%s' "${name//-/_}"
}

database_of() { # user-profile → user_profile
    printf '%s' "${1//-/_}"
}

port_variable() { # order → ORDER_PORT
    printf '%s_PORT' "$(upper "$1")"
}

port_of() {
    local variable
    variable=$(port_variable "$1")
    printf '%s' "${!variable}"
}

url_of() {
    printf 'http://127.0.0.1:%s' "$(port_of "$1")"
}

dsn_of() { # ROLE DATABASE
    printf 'host=127.0.0.1 port=%s user=%s dbname=%s passfile=%s' "$PG_PORT" "$1" "$2" \
        "$RUN_DIR/pgpass"
}

# Each port is the caller's variable, or what this stack last used, or the default.
choose_ports() { # free|fixed
    local name variable first=0
    [ "$1" = fixed ] || first=$(free_port_block ${#DEFAULT_PORT[@]})
    for name in pg gateway relay "${SERVICES[@]}"; do
        variable=$(port_variable "$name")
        if [ "$first" != 0 ]; then
            printf -v "$variable" %s "$first"
            first=$((first + 1))
        elif [ -z "${!variable:-}" ]; then
            printf -v "$variable" %s "${STORED[$variable]:-${DEFAULT_PORT[$name]}}"
        fi
        check_port "$variable" "${!variable}"
    done
}

# Reads RUN_DIR/env, that `up` wrote, without running it.
declare -A STORED=()
read_stored_settings() {
    local name value
    [ -f "$RUN_DIR/env" ] || return 0
    while IFS='=' read -r name value; do
        value=${value#\'}
        STORED[${name#export }]=${value%\'}
    done <"$RUN_DIR/env"
}

# RUN_DIR/env, to be sourced by whoever wants to talk to the stack.
write_settings() {
    local name
    {
        printf "export RUN_DIR='%s'\n" "$RUN_DIR"
        for name in gateway relay "${SERVICES[@]}"; do
            printf "export %s='%s'\n" "$(port_variable "$name")" "$(port_of "$name")"
            printf "export %s_URL='%s'\n" "$(upper "$name")" "$(url_of "$name")"
        done
        printf "export PG_PORT='%s'\n" "$PG_PORT"
        printf "export PGPASSFILE='%s'\n" "$RUN_DIR/pgpass"
        printf "export ADMIN_DSN='%s'\n" "$(dsn_of postgres postgres)"
        for name in "${SERVICES[@]}"; do
            printf "export %s_DSN='%s'\n" "$(upper "$name")" \
                "$(dsn_of "$(database_of "$name")" "$(database_of "$name")")"
        done
    } >"$RUN_DIR/env.new"
    mv "$RUN_DIR/env.new" "$RUN_DIR/env"
}

# ---- Secrets: created once, never printed --------------------------------------------------------

secret() { # NAME: prints it, and creates it first if necessary
    local file=$RUN_DIR/secrets/$1
    [ -s "$file" ] || (umask 077 && random_hex 24 >"$file")
    cat "$file"
}

webhook_secret_file() { # SOURCE SUBSCRIBER
    printf '%s/secrets/webhook.%s.%s' "$RUN_DIR" "$1" "$2"
}

# Calls a function with each line of deploy/subscriptions.tsv.
each_subscription() { # FUNCTION
    local source subscriber types
    while IFS=$'\t' read -r source subscriber types; do
        case $source in '' | \#*) continue ;; esac
        "$1" "$source" "$subscriber" "$types"
    done <"$ROOT/deploy/subscriptions.tsv"
}

make_webhook_secret() { # SOURCE SUBSCRIBER
    local file
    file=$(webhook_secret_file "$1" "$2")
    [ -s "$file" ] || (umask 077 && printf 'whsec_%s\n' "$(head -c 32 /dev/urandom | base64)" >"$file")
}

# Bound to its source: whoever has the secrets of one service's database can't speak for another.
append_webhook_secret() { # SOURCE SUBSCRIBER
    printf '%s=%s\n' "$1" "$(cat "$(webhook_secret_file "$1" "$2")")" \
        >>"$RUN_DIR/secrets/webhooks-of.$2.new"
}

make_secrets() {
    local service role new
    for service in "${SERVICES[@]}"; do
        role=$(database_of "$service")
        (
            umask 077
            printf 'host=127.0.0.1 port=%s user=%s dbname=%s password=%s\n' "$PG_PORT" "$role" \
                "$role" "$(secret "role.$role")" >"$RUN_DIR/secrets/database-url.$service"
        )
        remember_password "$RUN_DIR" "$role" "$(secret "role.$role")"
    done
    for role in relay monitor; do
        remember_password "$RUN_DIR" "$role" "$(secret "role.$role")"
    done
    each_subscription make_webhook_secret
    (umask 077 && each_subscription append_webhook_secret)
    for new in "$RUN_DIR"/secrets/webhooks-of.*.new; do
        tr '\n' ' ' <"$new" | (umask 077 && cat >"${new%.new}")
        rm "$new"
    done
}

# ---- Databases -----------------------------------------------------------------------------------

# Passwords are passed on standard input: every user can see arguments.
provision_databases() {
    local service role
    {
        for role in relay monitor; do
            printf "\\\\set %s_password '%s'\n" "$role" "$(secret "role.$role")"
        done
        cat "$ROOT/scripts/lib/provision.sql"
        for service in "${SERVICES[@]}"; do
            role=$(database_of "$service")
            printf "\\\\set role %s\n\\\\set password '%s'\n\\\\set publishes %s\n" "$role" \
                "$(secret "role.$role")" "${PUBLISHES[$service]}"
            cat "$ROOT/scripts/lib/provision-service.sql"
        done
    } | admin_psql "$RUN_DIR" "$PG_PORT" -d postgres >/dev/null
}

# Runs SERVICE_MODE=INIT of all services at the same time.
migrate_databases() {
    local service failed='' pids=()
    for service in "${SERVICES[@]}"; do
        service_environment "$service"
        "${SERVICE_ENV[@]}" SERVICE_MODE=INIT "$BIN/$service" </dev/null \
            >>"$RUN_DIR/log/$service.log" 2>&1 9>&- &
        pids+=($!)
    done
    for service in "${SERVICES[@]}"; do
        wait "${pids[0]}" || failed+=" $service"
        pids=("${pids[@]:1}")
    done
    [ -z "$failed" ] || die "migrations failed:$failed; see $RUN_DIR/log/${failed##* }.log"
}

# Creates or updates all subscriptions at the same time.
subscribe_all() {
    local pid failed=''
    SUBSCRIBING=()
    : >"$RUN_DIR/log/subscribe.log"
    each_subscription start_subscribing
    for pid in "${SUBSCRIBING[@]}"; do
        wait "$pid" || failed=yes
    done
    [ -z "$failed" ] || die "can't subscribe: $(tail -n 1 "$RUN_DIR/log/subscribe.log")"
}

start_subscribing() { # SOURCE SUBSCRIBER TYPES
    local role
    role=$(database_of "$1")
    "$BIN/outbox-relay" subscribe "$2" --source "$(dsn_of "$role" "$role")" \
        --url "$(url_of "$2")/internal/events" --types "$3" --from-beginning \
        --secret-ref "file:$(webhook_secret_file "$1" "$2")" \
        </dev/null >>"$RUN_DIR/log/subscribe.log" 2>&1 9>&- &
    SUBSCRIBING+=($!)
}

# ---- Programs ------------------------------------------------------------------------------------

# Sets SERVICE_ENV to an `env` command with a service's settings, for more words to follow.
service_environment() { # SERVICE
    local webhooks=$RUN_DIR/secrets/webhooks-of.$1
    SERVICE_ENV=(env -u DATABASE_URL -u WEBHOOK_SECRETS LISTEN_ADDRESS=127.0.0.1
        PORT="$(port_of "$1")" DATABASE_URL_FILE="$RUN_DIR/secrets/database-url.$1"
        JWKS_URL="$(url_of auth)/jwk" ADMIN_REGISTRATION="${ADMIN_REGISTRATION:-open}"
        DEMO_DATA="${DEMO_DATA:-true}")
    [ ! -s "$webhooks" ] || SERVICE_ENV+=(WEBHOOK_SECRETS_FILE="$webhooks")
}

start_service() { # SERVICE
    service_environment "$1"
    process_start "$1" "${SERVICE_ENV[@]}" SERVICE_MODE=SERVICE "$BIN/$1"
}

start_relay() {
    local source sources=()
    for source in "${SOURCES[@]}"; do
        sources+=(--source "$source=$(dsn_of relay "$(database_of "$source")")")
    done
    process_start relay "$BIN/outbox-relay" run "${sources[@]}" --listen "127.0.0.1:$RELAY_PORT"
}

start_gateway() {
    local service run=$RUN_DIR/nginx addresses=() as=''
    mkdir -p "$run"
    cp "$ROOT/services/gateway/gateway.js" "$run/"
    for service in "${SERVICES[@]}"; do
        addresses+=("$(upper "$service")_ADDRESS=127.0.0.1:$(port_of "$service")")
    done
    env "${addresses[@]}" LISTEN="127.0.0.1:$GATEWAY_PORT" RUN="$run" GATEWAY_JS="$run/gateway.js" \
        ACCESS_LOG="$RUN_DIR/log/gateway.log" ERROR_LOG=stderr NJS_MODULE="$(find_njs_module)" \
        "$ROOT/services/gateway/render" >"$run/nginx.conf" || die "can't write $run/nginx.conf"
    # Workers run as the caller, who owns RUN_DIR.
    [ "$(id -u)" != 0 ] || as='user root;'
    process_start gateway "$(find_nginx)" -c "$run/nginx.conf" -e stderr -g "daemon off; $as"
}

find_nginx() {
    PATH=$PATH:/usr/sbin command -v "${NGINX:-nginx}" ||
        die "nginx is missing: run 'make deps' (Debian package nginx), or set NGINX"
}

find_njs_module() {
    local file
    for file in ${NJS_MODULE:-} {/usr/lib,/usr/lib64,/usr/share}/nginx/modules/ngx_http_js_module.so; do
        [ -f "$file" ] && printf '%s' "$file" && return
    done
    die "nginx's njs module is missing: run 'make deps' (Debian package libnginx-mod-http-js)"
}

start_part() { # PART
    case $1 in
    relay) start_relay ;;
    gateway) start_gateway ;;
    *) start_service "$1" ;;
    esac
}

part_is_ready() { # PART
    local path=/readyz
    [ "$1" != gateway ] || path=/health
    curl -sf -o /dev/null --max-time 2 "$(url_of "$1")$path"
}
