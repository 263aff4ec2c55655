#!/usr/bin/env bash
# Builds the programs of a real control plane and prints the directory that holds them.
#
# They are pinned in go.mod beside this file and built once into a cache keyed by go.sum; a later run finds them there.
# With KUBEBUILDER_ASSETS set (the convention of envtest) that directory is used for the programs it has.
#
# Progress goes to stderr, the directory to stdout.
set -euo pipefail
cd "$(dirname "$0")"

key=$(cat go.mod go.sum build.sh | sha256sum | cut -c1-16)
cache=${QUORATE_CONTROLPLANE:-${XDG_CACHE_HOME:-$HOME/.cache}/quorate/controlplane-$key}
mkdir -p "$cache"

# Two runs side by side must not build the same thing twice.
exec 9>"$cache/.lock"
if ! flock --nonblock 9; then
    echo "controlplane: another run is building the programs, waiting for it" >&2
    flock 9
fi

have() {
    [ -x "$cache/$1" ]
}

build() {
    local name=$1 package=$2
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
        ln -sf "$(realpath "$KUBEBUILDER_ASSETS/$name")" "$cache/$name"
    fi
    if have "$name"; then
        return
    fi
    if ! command -v go >/dev/null; then
        echo "controlplane: Go is needed to build $name: install Go 1.26 or newer, or set KUBEBUILDER_ASSETS" >&2
        exit 1
    fi
    echo "controlplane: building $name ($3 on 2 cores, the first time only)" >&2
    local started=$SECONDS
    GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "$ldflags" -o "$cache/.$name" "$package"
    mv "$cache/.$name" "$cache/$name"
    echo "controlplane: built $name in $((SECONDS - started)) s" >&2
}

version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' go.mod)
minor=${version#v1.}
component=k8s.io/component-base/version
ldflags="-s -w -X $component.gitVersion=$version -X $component.gitMajor=1 -X $component.gitMinor=${minor%%.*}"

build etcd go.etcd.io/etcd/server/v3 "half a minute"
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "5 minutes"
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager "1 minute"
build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler "half a minute"
build kubectl k8s.io/kubernetes/cmd/kubectl "half a minute"
build kwok sigs.k8s.io/kwok/cmd/kwok "half a minute"
build helm helm.sh/helm/v4/cmd/helm "2 minutes"

echo "$cache"
