# shellcheck shell=bash
# values-local.yaml: what is checked of it. Sourced by run.sh.

# shellcheck disable=SC2034 # used by run.sh
NODES=2 MORE_IMAGES=()

make_more_images() { :; }

prepare_cluster() {
    local node
    for node in 1 2; do local_volume "$node"; done
}

database_pod() {
    echo postgres-0
}

install_shop() { # [HELM-ARGUMENT…]
    as_user env HELM_ARGS="--set postgres.image=$DATABASE_IMAGE
        --set exporter.enabled=true --set exporter.image=$EXPORTER_IMAGE $*" "$ROOT/k8s/install.sh" local >"$WORK/install.log" 2>&1
}

# As the table in docs/kubernetes.md.
check_rotation() {
    shop patch secret shop-webhook-order.billing -p "{\"stringData\":{\"secret\":\"whsec_$(openssl rand -base64 32)\"}}" >/dev/null
    install_shop || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    shop rollout restart deployment/billing >/dev/null
    shop rollout status deployment/billing --timeout=120s >/dev/null || return 1
    order_works || return 1
    shop patch secret shop-db-order -p "{\"stringData\":{\"password\":\"$(openssl rand -hex 24)\"}}" >/dev/null
    wait_until 150 password_is_mounted order || wrong "the pod does not see the new password" || return 1
    shop exec postgres-0 -- /docker-entrypoint-initdb.d/10-shop.sh || return 1
    shop rollout restart deployment/order >/dev/null
    shop rollout status deployment/order --timeout=120s >/dev/null || return 1
    order_works
}

# What each subscription is signed with is what its Secret says.
same_webhook_secrets() {
    local source consumer in_secret in_database
    while IFS=$'\t' read -r source consumer _; do
        in_secret=$(shop get secret "shop-webhook-$source.$consumer" -o jsonpath='{.data.secret}' | base64 -d)
        in_database=$(query "${source//-/_}" "select value from outbox.secret where subscription = '$consumer' and valid_until is null")
        [ "$in_secret" = "$in_database" ] || wrong "$source signs for $consumer with another secret" || return 1
    done < <(grep -v '^#' "$ROOT/deploy/subscriptions.tsv")
}

# To the revisions before the secrets were changed. Pods read them anew, so that an old one would show.
check_rollback() {
    local secrets release
    secrets=$(secrets)
    for release in shop-database shop; do
        as_user "$HELM" -n shop rollback "$release" --wait --timeout 5m >"$WORK/rollback.log" 2>&1 ||
            wrong "rollback: $(tail -n 1 "$WORK/rollback.log")" || return 1
    done
    [ "$(secrets)" = "$secrets" ] || wrong "secrets have changed" || return 1
    [ -z "$(jobs_left)" ] || wrong "Jobs are left: $(jobs_left)" || return 1
    same_webhook_secrets || return 1
    shop rollout restart deployment/billing deployment/order >/dev/null
    shop rollout status deployment/billing --timeout=120s >/dev/null || return 1
    shop rollout status deployment/order --timeout=120s >/dev/null || return 1
    order_works
}

# The workloads whose pods are others than those in a list of before.
restarted_since() { # PODS
    diff <(pods) - <<<"$1" | awk '/^</ { sub("-[0-9a-z]*-[0-9a-z]*$", "", $2); print $2 }' | sort -u | xargs
}

has_all_profile_changes() { # SUBSCRIPTION
    [ "$(query user_profile "select count(*) from outbox.event where event_type = 'user.profilechanged'")" -gt 0 ] &&
        [ "$(query user_profile "select lag_events + retrying + blocked + dead from outbox.status where subscription = '$1'")" = 0 ]
}

# A consumer hears of one more source, and no more of it.
check_subscription() {
    local before file=$WORK/subscriptions.yaml
    {
        echo 'subscriptions:'
        awk -F '\t' '!/^#/ { printf "  - {source: %s, consumer: %s, types: \"%s\"}\n", $1, $2, $3 }' "$ROOT/deploy/subscriptions.tsv"
        echo '  - {source: user-profile, consumer: notification, types: user.profilechanged}'
    } >"$file"
    before=$(pods)
    install_shop -f "$file" || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    [ "$(restarted_since "$before")" = notification ] || wrong "restarted: $(restarted_since "$before")" || return 1
    wait_until 60 has_all_profile_changes notification ||
        wrong "refused: $(query user_profile "select * from outbox.status where subscription = 'notification'")" || return 1
    # shellcheck disable=SC2016 # expanded in the pod
    shop exec deploy/user-profile -- sh -c 'outbox-relay unsubscribe notification --source "$DATABASE_URL"' >/dev/null || return 1
    before=$(pods)
    install_shop || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    [ "$(restarted_since "$before")" = notification ] || wrong "restarted: $(restarted_since "$before")" || return 1
    [ "$(subscriptions | wc -l)" = "$(grep -vc '^#' "$ROOT/deploy/subscriptions.tsv")" ] || wrong "subscriptions: $(subscriptions)"
}

password_is_mounted() { # ROLE
    [ "$(shop exec postgres-0 -- cat "/secrets/$1/password")" = "$(password_of "$1")" ]
}

# A database more, in a PostgreSQL that has run for long; what is there stays.
check_new_database() {
    local orders databases
    orders=$(orders)
    install_shop --set databases.more_wishes.publishes=true || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    may_connect more-wishes more_wishes || wrong "its role can't connect: $(tail -n 1 "$WORK/connect.log")" || return 1
    ! may_connect more-wishes order || wrong "its role reaches another database" || return 1
    databases=$(query postgres "select string_agg(datname, ' ' order by datname) from pg_database
        where has_database_privilege('relay', oid, 'connect') and not datistemplate")
    [ "$databases" = "$({ sources; echo more_wishes; } | sort | xargs)" ] || wrong "the relay may connect to $databases" || return 1
    # By hand, as for a password; twice does no harm.
    shop exec postgres-0 -- /docker-entrypoint-initdb.d/10-shop.sh || return 1
    may_connect more-wishes more_wishes || wrong "its role can't connect any more" || return 1
    [ "$(orders)" = "$orders" ] || wrong "orders are gone" || return 1
    order_works
}

check_drain() {
    local node
    node=$(shop get pod postgres-0 -o jsonpath='{.spec.nodeName}')
    # The other one: PostgreSQL's volume is on this node.
    node=node$((3 - ${node#node}))
    kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --timeout=180s >"$WORK/drain.log" 2>&1 ||
        wrong "drain: $(tail -n 1 "$WORK/drain.log")" || return 1
    kubectl wait --for=condition=Available deployment -A --all --timeout=120s >/dev/null || return 1
    wait_until 120 all_ready || wrong "not all pods are ready elsewhere" || return 1
    order_works || return 1
    kubectl uncordon "$node" >/dev/null
}

check_failed_migration() {
    local before
    before=$(pods)
    ! install_shop --set database.sslmode=verify-full || wrong "install.sh does not fail" || return 1
    [ "$(jobs_left)" = job.batch/auth-migrate ] || wrong "Jobs: $(jobs_left)" || return 1
    shop logs job/auth-migrate | grep -q . || wrong "its Job has no logs" || return 1
    [ "$(pods | grep -v auth-migrate)" = "$before" ] || wrong "pods have changed: $(diff <(pods) - <<<"$before")" || return 1
    order_works
}

check_uninstall() {
    local orders secrets
    orders=$(orders) secrets=$(secrets)
    as_user "$ROOT/k8s/uninstall.sh" >"$WORK/uninstall.log" 2>&1 || wrong "uninstall.sh: $(tail -n 1 "$WORK/uninstall.log")" || return 1
    wait_until 60 only_database || wrong "$(shop get pods)" || return 1
    install_shop || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    [ "$(orders)" = "$orders" ] || wrong "orders are gone" || return 1
    [ "$(secrets)" = "$secrets" ] || wrong "secrets have changed" || return 1
    order_works
}

only_database() {
    [ "$(shop get pods -o name | sed 's/-[0-9a-z]*-[0-9a-z]*$//' | xargs)" = 'pod/postgres-0 pod/postgres-exporter' ]
}

check_uninstall_data() {
    as_user "$ROOT/k8s/uninstall.sh" --data >"$WORK/uninstall.log" 2>&1 || wrong "uninstall.sh: $(tail -n 1 "$WORK/uninstall.log")" || return 1
    ! kubectl get namespace shop >/dev/null 2>&1 || wrong "the namespace is still there" || return 1
    [ -z "$(kubectl get clusterrole,clusterrolebinding,pv -o name -l app.kubernetes.io/part-of=outbox-shop)" ]
}

# Every pod tries every port of every other; strangers in and out of the namespace, too.
check_network() {
    kubectl apply -f "$ROOT/tests/k8s/strangers.yaml" >/dev/null
    kubectl wait --for=condition=Ready pod/intruder -n shop --timeout=60s >/dev/null || return 1
    kubectl wait --for=condition=Ready pod/stranger -n default --timeout=60s >/dev/null || return 1
    kubectl wait --for=condition=Ready pod/prometheus -n monitoring --timeout=60s >/dev/null || return 1
    as_user "$PYTHON" -B "$ROOT/tests/k8s/reach.py" || return 1
    kubectl delete -f "$ROOT/tests/k8s/strangers.yaml" --wait=false >/dev/null
}

check_restricted() {
    local said
    said=$(shop run root --image="$ADDONS_IMAGE" --dry-run=server 2>&1) && wrong "it was let in" && return 1
    [[ $said == *'violates PodSecurity "restricted'* ]] || wrong "$said"
}

check_all() {
    check "k8s/install.sh local: all pods are ready, all hooks done" check_install
    [ "${failed:?}" = 0 ] || return 0
    check "the exporter's figures are there" check_exporter
    check "the Postman collection passes through the Ingress" check_collection
    check "who can reach whom is what the policies mean" check_network
    check "a pod that is not restricted is refused" check_restricted
    check "the active relay is killed: the other takes over" while_users_shop some kill_active_relays
    check "rolling restart: no answer is missing" while_users_shop all restart_all
    check "a failed migration stops the upgrade; the shop runs on" check_failed_migration
    check "upgrade: nothing is changed, nothing restarts" check_upgrade
    check "a password and a webhook secret are changed" check_rotation
    check "the upgrade before is rolled back: the secrets are still the new ones" check_rollback
    check "one more subscription: its consumer restarts, and takes the events" check_subscription
    check "a node is drained" check_drain
    check "one more database, in a PostgreSQL with data" check_new_database
    check "uninstall and install: the data is still there" check_uninstall
    check "uninstall --data: nothing is left" check_uninstall_data
}
