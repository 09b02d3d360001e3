# shellcheck shell=bash
# What the Kubernetes test asserts, one function for each. Sourced by run.sh; a check prints what is wrong and
# fails, or prints a figure. Commands are those of docs/kubernetes.md.

AUDITOR_PASSWORD=$(random_hex 16)
readonly BASE_URL=http://arch.homework/otusapp/alapitskii

wrong() { # TEXT…
    printf '    %s\n' "$*"
    return 1
}

# Runs what a user would, on a machine that reaches the nodes.
as_user() { # COMMAND…
    in_machine control env KUBECONFIG="$WORK/admin.conf" HELM="$HELM" KUBECTL="$TOOLS/kubectl" "$@"
}

shop() { # KUBECTL-ARGUMENT…
    kubectl -n shop "$@"
}

query() { # DATABASE SQL
    shop exec "$(database_pod)" -c postgres -- psql -XAtq -v ON_ERROR_STOP=1 -U postgres "$1" -c "$2"
}

sources() {
    awk -F '\t' '$3 == "publishes" { gsub("-", "_", $1); print $1 }' "$ROOT/deploy/services.tsv"
}

password_of() { # ROLE
    shop get secret "shop-db-$1" -o jsonpath='{.data.password}' | base64 -d
}

# With the password of its Secret, over the network: from itself PostgreSQL would believe anybody.
may_connect() { # ROLE DATABASE
    # shellcheck disable=SC2016 # expanded in the pod
    [ "$(shop exec -i "$(database_pod)" -c postgres -- sh -c 'read -r PGPASSWORD; export PGPASSWORD; exec psql -XAtqw -h "$(hostname -i)" -U "$0" "$1" -c "select 1"' \
        "${1//-/_}" "$2" <<<"$(password_of "$1")" 2>>"$WORK/connect.log")" = 1 ]
}

all_ready() {
    shop get pods -o json | jq -e '[.items[] | select(.metadata.deletionTimestamp == null and .status.phase != "Succeeded")]
        | length > 0 and all(any(.status.conditions[]; .type == "Ready" and .status == "True"))' >/dev/null
}

# Which pods there are, and how often their containers have started.
pods() {
    shop get pods --field-selector status.phase=Running -o json | jq -r '.items[] | select(.metadata.deletionTimestamp == null) | "\(.metadata.name) \(.metadata.uid) \([.status.containerStatuses[].restartCount])"' | sort
}

subscriptions() {
    local source
    for source in $(sources); do query "$source" 'select current_database(), name, url from outbox.subscription order by name'; done
}

jobs_left() {
    shop get jobs -l app.kubernetes.io/part-of=outbox-shop -o name
}

check_install() {
    echo "$NETWORK.11 arch.homework" >"$WORK/hosts"
    in_machine control mount --bind "$WORK/hosts" /etc/hosts
    install_shop || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    all_ready || wrong "not all pods are ready" || return 1
    [ -z "$(jobs_left)" ] || wrong "Jobs are left: $(jobs_left)" || return 1
    [ "$(subscriptions | wc -l)" = "$(grep -vc '^#' "$ROOT/deploy/subscriptions.tsv")" ] ||
        wrong "subscriptions: $(subscriptions)"
}

# What the exporter says now, into a file.
ask_exporter() {
    shop exec deploy/postgres-exporter -- wget -q -O - http://127.0.0.1:9187/metrics >"$WORK/figures"
}

figure() { # NAME
    grep "^$1[{ ]" "$WORK/figures"
}

exporter_says() { # NAME VALUE
    ask_exporter && figure "$1" | grep -q " $2\$"
}

# Of PostgreSQL itself, and of outbox and inbox in every database that has one; no query may have failed.
check_exporter() {
    local consumers name
    consumers=$(awk -F '\t' '!/^#/ { print $2 }' "$ROOT/deploy/subscriptions.tsv" | sort -u | wc -l)
    wait_until 60 exporter_says pg_up 1 || wrong "no PostgreSQL: $(figure pg_up)" || return 1
    for name in "outbox_subscription_lag_events $(grep -vc '^#' "$ROOT/deploy/subscriptions.tsv")" \
        "outbox_lease_held $(sources | wc -l)" "inbox_messages $consumers" "replication_replicas 1"; do
        [ "$(figure "${name% *}" | wc -l)" = "${name#* }" ] ||
            wrong "not ${name#* } of ${name% *}: $(figure "${name% *}")" || return 1
    done
    exporter_says pg_exporter_last_scrape_error 0 ||
        wrong "a query fails: $(shop logs deploy/postgres-exporter | tail -n 3)" || return 1
    figure pg_stat_database_xact_commit | grep -q 'datname="order"' || wrong "no figures of databases" || return 1
    [ "$(query postgres "select string_agg(r.rolname, ' ' order by r.rolname) from pg_auth_members m
            join pg_roles r on r.oid = m.roleid where m.member = 'monitor'::regrole")" = 'outbox_reader pg_monitor' ] ||
        wrong "role monitor is a member of others" || return 1
    echo "    $(grep -vc '^#' "$WORK/figures") figures"
}

play() { # [NEWMAN-OPTION…]
    as_user env BASE_URL="$BASE_URL" POSTMAN_ENVIRONMENT="$ROOT/examples/postman/k8s.postman_environment.json" \
        "$ROOT/tests/postman/run.sh" "$@" --reporters cli,json --reporter-cli-silent \
        --reporter-json-export "$WORK/newman.json" </dev/null >"$WORK/newman.log" 2>&1 || {
        jq -r '.run.failures[] | "    \(.source.name): \(.error.message)"' "$WORK/newman.json"
        return 1
    }
}

check_collection() {
    play || return 1
    jq -r '.run.stats | "    newman: \(.requests.total) requests, \(.assertions.total) assertions, \(.assertions.failed) failed"' "$WORK/newman.json"
}

# An order is placed, paid, completed and told of.
order_works() {
    play --folder 'Simple Order' || wrong "an order does not go its way"
}

active_relays() {
    local source
    for source in $(sources); do query "$source" "select split_part(holder, ':', 1) from outbox.lease"; done | sort -u
}

another_is_active() { # POD
    local active
    active=$(active_relays) && [ -n "$active" ] && ! grep -qxF "$1" <<<"$active"
}

orders() {
    query order 'select count(*) from orders'
}

more_orders_than() { # NUMBER
    [ "$(orders)" -gt "$1" ]
}

# Runs a command while users shop; they go on for a while. Nothing that they were told may be lost, and where
# the command may cost no request, all have to be answered.
while_users_shop() { # all|some COMMAND…
    local shopping status=0 before answered=$1
    shift
    rm -f "$WORK/stop-shopping"
    query postgres "drop role if exists auditor; create role auditor superuser login password '$AUDITOR_PASSWORD'" || return 1
    before=$(orders)
    # The forwarding ends at the first connection that is reset, as those with TLS are when they are closed.
    as_user env PGHOST=127.0.0.1 PGPORT=15432 PGSSLMODE=disable PGUSER=auditor PGPASSWORD="$AUDITOR_PASSWORD" \
        /usr/bin/python3 -B "$ROOT/tests/k8s/shopping.py" "$BASE_URL" "$WORK/stop-shopping" "$answered" &
    shopping=$!
    wait_until 60 more_orders_than "$before" || wrong "nobody shops" || status=1
    [ "$status" = 1 ] || "$@" || status=1
    before=$(orders)
    wait_until 60 more_orders_than "$((before + 20))" || wrong "nobody shops any more" || status=1
    # Only now: it goes to one pod, which may have been another before.
    start_in control env KUBECONFIG="$WORK/admin.conf" "$TOOLS/kubectl" -n shop port-forward "$(database_pod)" 15432:5432
    local forward=$!
    touch "$WORK/stop-shopping"
    wait "$shopping" || status=1
    kill "$forward" 2>/dev/null || true
    return "$status"
}

kill_active_relays() {
    local pod began
    for pod in $(active_relays); do
        began=$(now_us)
        shop delete pod "$pod" --force --grace-period=0 >/dev/null 2>&1
        wait_until 60 another_is_active "$pod" || wrong "$pod is still the active one" || return 1
        echo "    $pod is followed by $(active_relays | xargs) $(seconds_since "$began") s after its killing"
    done
}

restart_all() {
    local steady status=0
    rm -f "$WORK/stop-asking"
    as_user /usr/bin/python3 -B "$ROOT/tests/k8s/steady.py" "$BASE_URL/products/1" "$WORK/stop-asking" &
    steady=$!
    shop rollout restart deployment >/dev/null
    shop rollout status deployment --timeout=180s >/dev/null || wrong "the rollout does not end" || status=1
    touch "$WORK/stop-asking"
    wait "$steady" || status=1
    return "$status"
}

secrets() {
    shop get secrets -o json | jq -S '.items[] | select(.type != "helm.sh/release.v1") | {(.metadata.name): .data}'
}

check_upgrade() {
    local pods subscriptions secrets
    pods=$(pods | grep -v auth-migrate) subscriptions=$(subscriptions) secrets=$(secrets)
    install_shop || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    [ "$(pods)" = "$pods" ] || wrong "pods have changed: $(diff <(pods) - <<<"$pods")" || return 1
    [ "$(subscriptions)" = "$subscriptions" ] || wrong "subscriptions have changed" || return 1
    [ "$(secrets)" = "$secrets" ] || wrong "secrets have changed" || return 1
    order_works
}

