#!/bin/sh
# Removes the shop: k8s/uninstall.sh [--data]. Databases and generated secrets stay unless --data is given.
# Variables: NAMESPACE (shop), HELM (helm), KUBECTL (kubectl).
set -eu
namespace=${NAMESPACE:-shop}
helm=${HELM:-helm}
kubectl=${KUBECTL:-kubectl}
case ${1-} in
'' | --data) ;;
*) echo "uninstall.sh: \"$1\" is unknown; use --data or nothing" >&2; exit 2 ;;
esac

"$helm" uninstall shop -n "$namespace" --ignore-not-found --wait
# Helm keeps failed Jobs, for their logs.
"$kubectl" -n "$namespace" delete job -l app.kubernetes.io/part-of=outbox-shop --ignore-not-found
if [ "${1-}" = --data ]; then
    "$helm" uninstall shop-database -n "$namespace" --ignore-not-found --wait
    "$kubectl" -n "$namespace" delete pvc -l app.kubernetes.io/name=postgres --ignore-not-found
    "$kubectl" delete namespace "$namespace" --ignore-not-found
else
    echo "databases and secrets are still in namespace $namespace; k8s/uninstall.sh --data removes them"
fi
