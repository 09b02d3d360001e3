#!/bin/sh
# Installs the shop into the cluster of the current kubectl context: k8s/install.sh [local|production]
# Variables: NAMESPACE (shop), HELM (helm), KUBECTL (kubectl), and HELM_ARGS for both charts.
# With "production", the CloudNativePG and Prometheus operators must already be installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mode=${1:-local}
namespace=${NAMESPACE:-shop}
helm=${HELM:-helm}
kubectl=${KUBECTL:-kubectl}
values=$here/values-$mode.yaml

[ -f "$values" ] || { echo "install.sh: there is no $values: use local or production" >&2; exit 2; }
for tool in "$helm" "$kubectl"; do
    command -v "$tool" >/dev/null || { echo "install.sh: $tool is not installed" >&2; exit 1; }
done

echo "1/3 namespace $namespace"
"$kubectl" create namespace "$namespace" --dry-run=client -o yaml | "$kubectl" apply -f -
# From now on, pods that are not restricted are refused.
"$kubectl" label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted

echo "2/3 database ($mode)"
# shellcheck disable=SC2086 # several words on purpose
"$helm" upgrade --install shop-database "$here/database" -n "$namespace" -f "$values" ${HELM_ARGS-}
if [ "$mode" = local ]; then
    "$kubectl" -n "$namespace" rollout status statefulset/postgres --timeout=300s
    # The image runs it only for an empty data directory. Run again, it creates what is new and keeps the rest.
    "$kubectl" -n "$namespace" exec postgres-0 -c postgres -- /docker-entrypoint-initdb.d/10-shop.sh
else
    "$kubectl" -n "$namespace" wait --for=condition=Ready cluster.postgresql.cnpg.io/shop-database --timeout=900s
    "$kubectl" -n "$namespace" wait --for=jsonpath='{.status.applied}'=true \
        --all databases.postgresql.cnpg.io --timeout=300s
fi

echo "3/3 services, relay, gateway: migrations first, subscriptions last"
# shellcheck disable=SC2086
"$helm" upgrade --install shop "$here/shop" -n "$namespace" -f "$values" --wait --timeout 10m ${HELM_ARGS-}
"$kubectl" -n "$namespace" get pods
