#!/usr/bin/env bash
# Builds the programs of a real control plane and prints the directory that holds them.
#
# They are pinned in go.mod beside this file and built once into a cache keyed by go.mod and go.sum; a later run finds
# them there. QUORATE_CONTROLPLANE names another cache directory. With KUBEBUILDER_ASSETS set (the convention of
# envtest) the programs in that directory are used, and only what it lacks is built.
#
# Progress goes to stderr, the directory to stdout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() {
    echo "controlplane: $*" >&2
}

# One directory per set of pins, and per set of programs that come from elsewhere.
key=$(cat go.mod go.sum | cksum | tr ' ' '-')
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    key=$key-assets-$(printf %s "$KUBEBUILDER_ASSETS" | cksum | cut -d ' ' -f 1)
fi
cache=${QUORATE_CONTROLPLANE:-${XDG_CACHE_HOME:-$HOME/.cache}/quorate/controlplane-$key}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok helm)
missing() {
    local name
    for name in "${programs[@]}"; do
        if [ ! -x "$cache/$name" ]; then
            echo "$name"
        fi
    done
}

if [ -z "$(missing)" ]; then
    echo "$cache"
    exit
fi

# Two runs side by side must not build the same thing twice.
if command -v flock >/dev/null; then
    exec 9>"$cache/.lock"
    if ! flock --nonblock 9; then
        say "another run is building the programs, waiting for it"
        flock 9
    fi
fi

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for name in "${programs[@]}"; do
        if [ ! -x "$cache/$name" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
            ln -sf "$(cd "$KUBEBUILDER_ASSETS" && pwd)/$name" "$cache/$name"
        fi
    done
fi

require_go() {
    local wanted found
    wanted=$(sed -n 's/^go //p' go.mod)
    if ! command -v go >/dev/null; then
        say "Go is needed to build $(missing | tr '\n' ' '): install Go $wanted or newer, or set KUBEBUILDER_ASSETS"
        exit 1
    fi
    # Go from 1.21 on fetches the toolchain that go.mod asks for, unless GOTOOLCHAIN forbids it.
    if ! found=$(go version 2>&1); then
        say "Go $wanted or newer is needed; the one in PATH says: $found"
        exit 1
    fi
}

# A build that is interrupted leaves nothing behind: Go's scratch space is ours, and goes with us.
scratch=$cache/.scratch
clean() {
    rm -rf "$scratch"
}

build() {
    local name=$1 package=$2 duration=$3 started=$SECONDS
    if [ -x "$cache/$name" ]; then
        return
    fi
    say "building $name ($duration on 2 cores, the first time only)"
    GOTMPDIR=$scratch GOFLAGS=-mod=readonly CGO_ENABLED=0 \
        go build -buildvcs=false -trimpath -ldflags "$ldflags" -o "$scratch/$name" "$package"
    mv "$scratch/$name" "$cache/$name"
    say "built $name in $((SECONDS - started)) s"
}

if [ -n "$(missing)" ]; then
    require_go
    trap clean EXIT
    clean
    mkdir "$scratch"

    # Only with these do `kubectl version`, discovery and user agents tell the truth.
    version=$(sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' go.mod)
    minor=${version#v1.}
    ldflags="-s -w -X k8s.io/client-go/pkg/version.gitVersion=$version"
    component=k8s.io/component-base/version
    ldflags+=" -X $component.gitVersion=$version -X $component.gitMajor=1 -X $component.gitMinor=${minor%%.*}"

    build etcd go.etcd.io/etcd/server/v3 "half a minute"
    build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "5 minutes"
    build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager "2 minutes"
    build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler "half a minute"
    build kubectl k8s.io/kubernetes/cmd/kubectl "half a minute"
    build kwok sigs.k8s.io/kwok/cmd/kwok "half a minute"
    build helm helm.sh/helm/v4/cmd/helm "2 minutes"
fi

echo "$cache"
