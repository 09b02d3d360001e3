#!/bin/sh
# Builds the programs of the test's cluster from their Go modules, whose versions programs/go.mod pins:
#   tests/k8s/cluster/build.sh DIRECTORY        (make k8s-test; half an hour on two cores, once)
# What runs on nodes is in DIRECTORY, what runs in pods in DIRECTORY/pods.
set -eu
directory=${1:?usage: build.sh DIRECTORY}
cd "$(dirname "$0")/programs"
# Static, as the images of pods have nothing to link with.
export CGO_ENABLED=0

# The version that Kubernetes says it has; charts ask for it.
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)

build() { # OUTPUT PACKAGE…
    output=$1
    shift
    go build -buildvcs=false -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$output" "$@"
}

rm -rf "$directory.new"
mkdir -p "$directory.new/pods"
build "$directory.new/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
    k8s.io/kubernetes/cmd/kube-proxy k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubectl \
    k8s.io/kubernetes/cmd/kubelet github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
build "$directory.new/etcd" go.etcd.io/etcd/server/v3
build "$directory.new/pods/" ./coredns github.com/zalando/skipper/cmd/skipper
rm -rf "$directory"
mv "$directory.new" "$directory"
