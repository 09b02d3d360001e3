# shellcheck shell=bash
# A Kubernetes cluster on this machine: a control plane and nodes, each in namespaces of its own (machine.sh).
# Sourced by run.sh; needs WORK, TOOLS (the programs that make/k8s.mk builds) and CLUSTER, this directory.

# By websockets, exec at times discards what a program says first.
export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false

readonly PODS=10.244.0.0/16 SERVICES=10.96.0.0/16 DNS=10.96.0.10

start_control_plane() {
    start_machine control
    make_bridge
    make_authority
    certificate apiserver /CN=kube-apiserver \
        "IP:$NETWORK.1, IP:${SERVICES%.0/16}.1, DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc"
    certificate kubelet-client /O=system:masters/CN=kube-apiserver
    certificate aggregator /CN=aggregator
    client admin /O=system:masters/CN=admin
    client kube-controller-manager /CN=system:kube-controller-manager
    client kube-scheduler /CN=system:kube-scheduler
    client kube-proxy /CN=system:kube-proxy
    client kube-router /O=system:masters/CN=kube-router

    start_in control "$TOOLS/etcd" --data-dir "$WORK/etcd" --unsafe-no-fsync --log-level warn
    start_api_server
    wait_until 120 quietly kubectl get --raw /readyz || die "the API server is not ready: see $WORK/log"
    start_in control "$TOOLS/kube-controller-manager" --kubeconfig "$WORK/kube-controller-manager.conf" \
        --service-account-private-key-file "$PKI/tokens.key" --root-ca-file "$PKI/ca.crt" \
        --use-service-account-credentials --leader-elect=false
    start_in control "$TOOLS/kube-scheduler" --kubeconfig "$WORK/kube-scheduler.conf" --leader-elect=false
}

# It knows of no service addresses, so it talks to endpoints itself (metrics, admission webhooks).
start_api_server() {
    start_in control "$TOOLS/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
        --advertise-address "$NETWORK.1" --service-cluster-ip-range "$SERVICES" \
        --client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
        --kubelet-preferred-address-types InternalIP \
        --kubelet-client-certificate "$PKI/kubelet-client.crt" --kubelet-client-key "$PKI/kubelet-client.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$PKI/tokens.key" --service-account-signing-key-file "$PKI/tokens.key" \
        --proxy-client-cert-file "$PKI/aggregator.crt" --proxy-client-key-file "$PKI/aggregator.key" \
        --requestheader-client-ca-file "$PKI/ca.crt" --requestheader-allowed-names aggregator \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- --enable-aggregator-routing \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction
}

start_node() { # NUMBER
    local name=node$1 address=$NETWORK.1$1 other
    start_machine "$name"
    connect_machine "$name" "$address"
    in_machine "$name" ip route add default via "$NETWORK.1"
    # Each node's pods have a network of their own; the others, and the API server, are told where it is.
    for other in "${MACHINES[@]}"; do
        [ "$other" = "$name" ] || in_machine "$other" ip route add "10.244.$1.0/24" via "$address"
        case $other in node*) [ "$other" = "$name" ] ||
            in_machine "$name" ip route add "10.244.${other#node}.0/24" via "$NETWORK.1${other#node}" ;; esac
    done
    client "$name" "/O=system:nodes/CN=system:node:$name"
    start_runtime "$name" "$1"
    start_kubelet "$name" "$address"
    start_in "$name" "$TOOLS/kube-proxy" --kubeconfig "$WORK/kube-proxy.conf" --hostname-override "$name" \
        --cluster-cidr "$PODS" --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
        --conntrack-tcp-timeout-close-wait 0
    wait_until 120 quietly kubectl get node "$name" || die "$name does not register: see $WORK/log"
    kubectl patch node "$name" -p "{\"spec\":{\"podCIDR\":\"10.244.$1.0/24\",\"podCIDRs\":[\"10.244.$1.0/24\"]}}" >/dev/null
    # For the network policies alone.
    start_in "$name" "$TOOLS/kube-router" --kubeconfig "$WORK/kube-router.conf" --hostname-override "$name" \
        --run-firewall --run-router=false --run-service-proxy=false --service-cluster-ip-range "$SERVICES"
}

start_runtime() { # NODE NUMBER
    local state=$WORK/$1
    mkdir -p "$state/cni"
    cat >"$state/cni/10-pods.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "dataDir": "$state/addresses",
                           "ranges": [[{"subnet": "10.244.$2.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONF
    cat >"$state/containerd.toml" <<CONF
version = 2
root = "$state/containerd"
state = "$state/containerd-state"
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/opt"
[plugins."io.containerd.grpc.v1.cri"]
  # Root within a container, say, may not make a process safer from the kernel's killer than itself.
  restrict_oom_score_adj = true
  sandbox_image = "docker.io/library/$ADDONS_IMAGE"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
CONF
    start_in "$1" containerd --config "$state/containerd.toml"
    wait_until 60 quietly node_ctr "$1" version || die "containerd does not start: see $WORK/log"
}

node_ctr() { # NODE ARGUMENT…
    in_machine "$1" ctr --address "$WORK/$1/containerd.sock" -n k8s.io "${@:2}"
}

start_kubelet() { # NODE ADDRESS
    cat >"$WORK/$1/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $2
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
clusterDNS: [$DNS]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$WORK/$1/containerd.sock
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
failSwapOn: false
failCgroupV1: false
imageGCHighThresholdPercent: 100
podLogsDir: $WORK/$1/pods-log
resolvConf: $WORK/resolv.conf
volumePluginDir: $WORK/$1/plugins
CONF
    start_in "$1" "$TOOLS/kubelet" --config "$WORK/$1/kubelet.yaml" --kubeconfig "$WORK/$1.conf" \
        --root-dir "$WORK/$1/kubelet" --cert-dir "$WORK/$1/pki" --hostname-override "$1" --node-ip "$2"
}

# A directory of the node as a volume; who claims it first binds it, as no provisioner is there.
local_volume() { # NUMBER
    mkdir -p "$WORK/node$1/volume"
    kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: "node$1"}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: standard
  local: {path: $WORK/node$1/volume}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: ["node$1"]}]
END
}

quietly() { # COMMAND…
    "$@" >/dev/null 2>&1
}

kubectl() {
    in_machine control env KUBECONFIG="$WORK/admin.conf" "$TOOLS/kubectl" "$@"
}
