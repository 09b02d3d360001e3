#!/usr/bin/env bash
# Makes a Kubernetes cluster on this machine, installs the shop into it by k8s/install.sh as docs/kubernetes.md
# tells, and checks it from outside.
#   tests/k8s/run.sh [local|production]        (make k8s-test, make k8s-production-test; as root)
#
# What is real: etcd, the API server, controllers, scheduler, kubelet, kube-proxy and kubectl (Kubernetes' own
# Go module, one binary: cluster/kube), containerd and runc, CoreDNS, helm, the charts, the scripts,
# the Dockerfile's images, and kube-router, which enforces the NetworkPolicies. Two nodes, each in namespaces and
# cgroups of its own (cluster/machine.sh).
# What stands in: Skipper, as a controller of the class nginx, for ingress-nginx, whose nginx is in no package
# registry; no metrics server, so that the autoscalers keep to their minimum; local volumes made by hand for a
# provisioner; Debian's postgres_exporter of the same version; for the images of Debian, PostgreSQL and nginx, where
# no registry answers, those of tests/compose/run.sh.
#
# Nothing of this host's network is changed, and all ends with the test. Variables: TOOLS (the directory of the
# programs), HELM, PYTHON (local) or CNPG and CRDS (production), KEEP=yes (leave it running until Enter), IMAGES (official|stand-in), DOCKERD_ARGS,
# DEBIAN_MIRROR, BUILD (build): logs are left in $BUILD/test/k8s on failure.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CLUSTER=$ROOT/tests/k8s/cluster
# shellcheck source=scripts/lib/common.sh
. "$ROOT/scripts/lib/common.sh"
# shellcheck source=tests/check.sh
. "$ROOT/tests/check.sh"
# shellcheck source=tests/compose/docker.sh
. "$ROOT/tests/compose/docker.sh"
# shellcheck source=tests/k8s/cluster/machine.sh
. "$CLUSTER/machine.sh"
# shellcheck source=tests/k8s/cluster/certificates.sh
. "$CLUSTER/certificates.sh"
# shellcheck source=tests/k8s/cluster/cluster.sh
. "$CLUSTER/cluster.sh"
# shellcheck source=tests/k8s/checks.sh
. "$ROOT/tests/k8s/checks.sh"
MODE=${1:-local}
# shellcheck source=tests/k8s/local.sh
. "$ROOT/tests/k8s/$MODE.sh"

PROGRAM=k8s-test
DAEMON_PID=''

make_images() {
    local bases
    choose_images
    bases=(--build-arg "BASE=$BASE_IMAGE" --build-arg "NGINX_IMAGE=$NGINX_IMAGE")
    docker_build "$SHOP_IMAGE" --target shop "${bases[@]}" "$ROOT"
    docker_build "$GATEWAY_IMAGE" --target gateway "${bases[@]}" "$ROOT"
    docker_build "$ADDONS_IMAGE" --build-arg "BASE=$BASE_IMAGE" -f "$CLUSTER/addons.Dockerfile" "$TOOLS/pods"
    # In the image of its own there is no bash, which check_network tries ways with.
    docker_build "$EXPORTER_IMAGE" --target postgres-exporter --build-arg "BASE=$BASE_IMAGE" \
        --build-arg PACKAGES=prometheus-postgres-exporter -f "$ROOT/tests/compose/watchers.Dockerfile" "$ROOT/tests/compose"
    # What has no tag, Kubernetes would pull each time.
    docker tag "$POSTGRES_IMAGE" "$DATABASE_IMAGE"
    make_more_images
    docker save -o "$WORK/images.tar" "$SHOP_IMAGE" "$GATEWAY_IMAGE" "$ADDONS_IMAGE" "$DATABASE_IMAGE" "$EXPORTER_IMAGE" "${MORE_IMAGES[@]}"
}

# As `kind load docker-image` does; here with the names that the charts give.
load_images() { # NODE
    local image
    node_ctr "$1" images import "$WORK/images.tar" >/dev/null
    for image in outbox-shop outbox-shop-gateway; do
        node_ctr "$1" images tag "docker.io/library/$image:k8s-test" "docker.io/library/$image:$(cat "$ROOT/VERSION")" >/dev/null
    done
}

start_cluster() {
    local node
    mkdir -p "$WORK/log"
    : >"$WORK/resolv.conf"
    start_control_plane
    for ((node = 1; node <= NODES; node++)); do
        start_node "$node"
        load_images "node$node"
    done
    kubectl apply -f "$CLUSTER/addons" >/dev/null
    kubectl wait --for=condition=Ready node --all --timeout=120s >/dev/null
    kubectl wait --for=condition=Available deployment -A --all --timeout=180s >/dev/null
    prepare_cluster
}

keep_logs() {
    local directory=$ROOT/${BUILD:-build}/test/k8s pod
    rm -rf "$directory"
    mkdir -p "$directory"
    for pod in $(kubectl -n shop get pods -o name 2>/dev/null); do
        kubectl -n shop logs --all-containers --prefix "$pod" >"$directory/${pod#pod/}.log" 2>&1 || true
    done
    kubectl get pods,jobs,events -A -o wide >"$directory/cluster.txt" 2>&1 || true
    cp "$WORK"/*.log "$WORK"/log/*.log "$directory/" 2>/dev/null || true
    echo "logs are in $directory" >&2
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -e "$WORK/admin.conf" ]; then keep_logs; fi
    if [ "${KEEP:-}" = yes ] && [ -n "${MACHINE_PID[control]:-}" ]; then
        echo "left running; nsenter -n -m -t ${MACHINE_PID[control]} env KUBECONFIG=$WORK/admin.conf $TOOLS/kubectl -n shop get pods"
        read -r -p 'Enter ends it. '
    fi
    stop_machines
    stop_daemon
    rm -rf "$WORK"
    exit "$status"
}

[ "$(id -u)" = 0 ] || die "it takes root, for namespaces and cgroups"
for tool in node npm jq openssl python3; do need_tool "$tool" "$tool" k8s; done
need_tool docker docker.io k8s
need_tool containerd containerd k8s
need_tool ctr containerd k8s
need_tool iptables iptables k8s
need_tool ipset ipset k8s
[ -x /usr/lib/cni/ptp ] || die "Debian package containernetworking-plugins is missing"
: "${TOOLS:?is set by make k8s-test}" "${HELM:?is set by make k8s-test}"

# Not in a tmpfs: containers' file systems are laid over it.
WORK=$(mktemp -d /var/tmp/shop-k8s.XXXXXX)
PKI=$WORK/pki CGROUP=shop-k8s-$$
SHOP_IMAGE=outbox-shop:k8s-test GATEWAY_IMAGE=outbox-shop-gateway:k8s-test
DATABASE_IMAGE=outbox-test-postgres:k8s-test ADDONS_IMAGE=outbox-test-addons:1 EXPORTER_IMAGE=outbox-test-postgres-exporter:0.11
trap clean_up EXIT
trap 'exit 130' INT TERM

# Only to build: containers of the build use this host's network, and the daemon makes none.
export DOCKER_BUILD_NETWORK=host
DOCKERD_ARGS=${DOCKERD_ARGS:---bridge=none --iptables=false --ip6tables=false}
start_daemon
make_images
stop_daemon
began=$(now_us)
start_cluster
echo "Kubernetes $(kubectl version -o json | jq -r .serverVersion.gitVersion), $NODES nodes ($(seconds_since "$began") s)"

check_all
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
