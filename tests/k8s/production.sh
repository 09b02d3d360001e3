# shellcheck shell=bash
# values-production.yaml: what is checked of it. Sourced by run.sh; needs CNPG (the operator's release and
# program, make/k8s.mk) and CRDS.
#
# More that stands in: the operator's and the instances' images, made of the operator's Go module and of Debian's
# PostgreSQL (cluster/cnpg.Dockerfile); no Prometheus operator, only the definitions of its resources. The instances
# ask for less memory than the values say.

# shellcheck disable=SC2034 # used by run.sh
NODES=3
OPERATOR_IMAGE=outbox-test-cnpg:1.25.1
INSTANCE_IMAGE=outbox-test-cnpg-postgres:15
MORE_IMAGES=("$OPERATOR_IMAGE" "$INSTANCE_IMAGE")

make_more_images() {
    local bases=(--build-arg "BASE=$BASE_IMAGE" --build-arg "POSTGRES_IMAGE=$POSTGRES_IMAGE")
    docker_build "$OPERATOR_IMAGE" --target operator "${bases[@]}" -f "$CLUSTER/cnpg.Dockerfile" "$CNPG"
    docker_build "$INSTANCE_IMAGE" --target instance "${bases[@]}" -f "$CLUSTER/cnpg.Dockerfile" "$CNPG"
}

prepare_cluster() {
    local node
    for ((node = 1; node <= NODES; node++)); do local_volume "$node"; done
    kubectl apply --server-side -f "$CRDS" >/dev/null
    sed "s|ghcr.io/cloudnative-pg/cloudnative-pg:1.25.1|$OPERATOR_IMAGE|" "$CNPG/release.yaml" |
        kubectl apply --server-side -f - >/dev/null
    kubectl -n cnpg-system wait --for=condition=Available deployment --all --timeout=180s >/dev/null
}

# The collection registers an administrator, and asks for products that are there.
install_shop() { # [HELM-ARGUMENT…]
    as_user env HELM_ARGS="--set postgres.cnpgImage=$INSTANCE_IMAGE --set exporter.image=$EXPORTER_IMAGE --set demoData=true
        --set postgres.resources.requests.memory=512Mi --set postgres.resources.requests.cpu=250m
        --set services.auth.env.ADMIN_REGISTRATION=open $*" "$ROOT/k8s/install.sh" production >"$WORK/install.log" 2>&1
}

database_pod() {
    shop get cluster.postgresql.cnpg.io shop-database -o jsonpath='{.status.currentPrimary}'
}

healthy() {
    [ "$(shop get cluster.postgresql.cnpg.io shop-database -o jsonpath='{.status.readyInstances}')" = 3 ] && all_ready
}

check_replication() {
    local synchronous
    [ "$(shop get pods -l cnpg.io/cluster=shop-database -o json | jq '[.items[].spec.nodeName] | unique | length')" = 3 ] ||
        wrong "the instances are not on three nodes" || return 1
    synchronous=$(query postgres "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')")
    [ "$synchronous" = 2 ] || wrong "$synchronous synchronous standbys" || return 1
    echo "    synchronous_standby_names = $(query postgres 'show synchronous_standby_names')"
}

# The primary tells of both standbys, by name.
check_replication_figures() {
    local standby
    wait_until 60 exporter_says replication_replicas 2 || wrong "$(figure replication_replicas)" || return 1
    for standby in $(shop get pods -l cnpg.io/cluster=shop-database -o name); do
        [ "${standby#pod/}" != "$(database_pod)" ] || continue
        figure replication_replica_lag_bytes | grep -q "replica=\"${standby#pod/}\"" || wrong "$standby is not seen" || return 1
    done
}

another_is_primary() { # POD
    [ "$(database_pod)" != "$1" ] && [ "$(query postgres 'select pg_is_in_recovery()' 2>/dev/null)" = f ]
}

kill_primary() {
    local primary began
    primary=$(database_pod) began=$(now_us)
    shop delete pod "$primary" --force --grace-period=0 >/dev/null 2>&1
    wait_until 120 another_is_primary "$primary" || wrong "$primary is still the primary" || return 1
    echo "    $primary is followed by $(database_pod) $(seconds_since "$began") s after its killing"
    wait_until 180 healthy || wrong "the old primary does not come back"
}

# The operator makes it beside the others.
check_new_database() {
    local pods
    pods=$(pods)
    install_shop --set databases.more_wishes.publishes=true || wrong "install.sh: $(tail -n 3 "$WORK/install.log")" || return 1
    may_connect more-wishes more_wishes || wrong "its role can't connect: $(tail -n 1 "$WORK/connect.log")" || return 1
    [ "$(pods)" = "$pods" ] || wrong "pods have changed: $(diff <(pods) - <<<"$pods")"
}

check_all() {
    check "k8s/install.sh production: all pods are ready, all hooks done" check_install
    [ "${failed:?}" = 0 ] || return 0
    check "three instances on three nodes, two of them synchronous standbys" check_replication
    check "the exporter's figures are there" check_exporter
    check "the Postman collection passes through the Ingress" check_collection
    check "both standbys are seen by the exporter" check_replication_figures
    check "the primary is killed: a standby follows, nothing is lost" while_users_shop some kill_primary
    check "the active relay is killed: the other takes over" while_users_shop some kill_active_relays
    check "rolling restart: no answer is missing" while_users_shop all restart_all
    check "upgrade: nothing is changed, nothing restarts" check_upgrade
    check "one more database" check_new_database
}
