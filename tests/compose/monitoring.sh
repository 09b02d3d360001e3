# shellcheck shell=bash
# The profile monitoring: its images or their stand-ins, and what must be seen with it. Sourced by run.sh
# after docker.sh and checks.sh. Grafana runs only where its image can be had: no package brings it.

WATCHERS=(prometheus alertmanager postgres-exporter node-exporter)

# Pulls the images that docker-compose.yml names, or builds stand-ins and sets the variables to them.
prepare_watchers() {
    local image official=yes
    if [ "${IMAGES:-}" = stand-in ] || [ "$BASE_IMAGE" = "$DEBIAN_STAND_IN" ]; then official=''; fi
    if [ -n "$official" ]; then
        for image in $(compose --profile monitoring config | sed -n 's/^ *image: \(prom.*\|grafana.*\)/\1/p' | sort -u); do
            has_image "$image" || timeout "$PULL_SECONDS" docker pull -q "$image" >/dev/null 2>&1 || official=''
        done
    fi
    if [ -n "$official" ]; then
        WATCHERS+=(grafana)
        return
    fi
    for image in watchers prometheus postgres-exporter node-exporter; do
        DOCKER_BUILDKIT=0 docker build -q -t "outbox-test-$image" --target "$image" \
            --build-arg "BASE=$DEBIAN_STAND_IN" -f "$ROOT/tests/compose/watchers.Dockerfile" \
            "$ROOT/tests/compose" >"$WORK/build.log" 2>&1 || {
            tail -n 30 "$WORK/build.log" >&2
            return 1
        }
    done
    export PROMETHEUS_IMAGE=outbox-test-prometheus ALERTMANAGER_IMAGE=outbox-test-watchers \
        POSTGRES_EXPORTER_IMAGE=outbox-test-postgres-exporter NODE_EXPORTER_IMAGE=outbox-test-node-exporter
    echo "    stand-ins for Prometheus, Alertmanager and the exporters, none for Grafana"
}

prometheus_says() { # EXPRESSION VALUE: the one value of a query
    [ "$(curl -sS --max-time 10 -G "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" \
        --data-urlencode "query=$1" 2>>"$WORK/curl.log" | jq -r '.data.result[0].value[1]')" = "$2" ]
}

check_monitoring() {
    local service port
    port=$(free_port_block 3)
    export PROMETHEUS_PORT=$port ALERTMANAGER_PORT=$((port + 1)) GRAFANA_PORT=$((port + 2))
    printf '4711:nobodys_token\n' >"$WORK/telegram-token"
    # Read by user 65534, wherever the daemon maps it.
    chmod 755 "$WORK"
    chmod 644 "$WORK/telegram-token"
    export TELEGRAM_CHAT_ID=-1001 TELEGRAM_BOT_TOKEN_FILE=$WORK/telegram-token
    prepare_watchers || wrong "no images" || return 1
    compose --profile monitoring up -d --no-build "${WATCHERS[@]}" >"$WORK/up.log" 2>&1 ||
        wrong "up: $(tail -n 3 "$WORK/up.log")" || return 1
    for service in "${WATCHERS[@]}"; do
        wait_until 90 is_healthy "$service" || wrong "$service is not healthy" || return 1
    done
    # The programs, and each watcher but Grafana.
    wait_until 60 prometheus_says 'sum(up)' $((${#PROGRAMS[@]} + 1 + 4)) || wrong "not all targets are up" || return 1
    wait_until 60 prometheus_says 'min(pg_up)' 1 || wrong "the exporter does not reach PostgreSQL" || return 1
    wait_until 60 prometheus_says 'count(outbox_subscription_lag_events)' 8 || wrong "no figures of the outbox" || return 1
    wait_until 60 prometheus_says 'count(node_filesystem_avail_bytes{mountpoint="/postgres-data"})' 1 ||
        wrong "no figures of the disk" || return 1
    prometheus_says 'count(node_filesystem_avail_bytes)' 1 || wrong "figures of other disks, or of one twice" || return 1
    curl -sf --max-time 10 "http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/status" >"$WORK/alertmanager.json" ||
        wrong "Alertmanager does not answer" || return 1
    jq -r .config.original "$WORK/alertmanager.json" | grep -q 'chat_id: -1001' ||
        wrong "Alertmanager knows no chat" || return 1
    ! grep -q nobodys_token "$WORK/alertmanager.json" || wrong "Alertmanager shows the bot's token" || return 1
    # The checks that hold for all parts go on with these.
    RUNNING+=("${WATCHERS[@]}")
    check_confined
}
