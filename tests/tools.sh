#!/usr/bin/env bash
# Makes sure that what `make test` needs is there, and prints the directory of what it installed itself. With `fuzz` or
# `bench`, what `make fuzz` or `make bench` needs too.
#
# Up front: Rust by rustup, Go as in tests/controlplane/go.mod, a C compiler (for fuzzing a C++ compiler), git. shellcheck, yamllint
# and buildah are installed with apt-get where that is possible; cargo-deny, cargo-fuzz and oha are built once into a cache outside
# target/; prometheus and promtool are unpacked there from Debian's package, which when installed would start a server.
#
# Progress goes to stderr, the directories to stdout, as they belong into PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${XDG_CACHE_HOME:-$HOME/.cache}/quorate/tools

say() {
    echo "tools: $*" >&2
}

missing=()
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

need cargo "Rust: https://rustup.rs, the version in rust-toolchain.toml"
need cc "a C compiler, which ring is built with"
if [ "${1:-}" = fuzz ]; then
    need c++ "a C++ compiler, which libFuzzer is built with"
fi
if [ "${1:-}" = bench ]; then
    need cmake "cmake, which oha's TLS is built with"
    need taskset "util-linux, for taskset and setpriv"
    need setpriv "util-linux, for taskset and setpriv"
fi
need git "git, which lists the files to check"
wanted=$(sed -n 's/^go //p' tests/controlplane/go.mod)
# An older Go of at least 1.21 fetches the wanted one by itself, unless it was told not to.
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
    have=$( (cd tests/controlplane && go env GOVERSION) 2>/dev/null | sed 's/^go//' || true)
    if [ "$(printf '%s\n' "$wanted" "${have:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
        missing+=("Go $wanted or newer: https://go.dev/dl, or KUBEBUILDER_ASSETS with the programs of a control plane")
    fi
fi
if [ ${#missing[@]} -gt 0 ]; then
    say "please install first:"
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
fi

packages=()
for package in shellcheck yamllint buildah; do
    command -v "$package" >/dev/null || packages+=("$package")
done
if [ ${#packages[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo -n)
    fi
    say "installing ${packages[*]} with apt-get"
    if ! command -v apt-get >/dev/null ||
        ! { "${as_root[@]}" apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${packages[@]}"; } >&2; then
        say "please install ${packages[*]} with your system's packages"
        exit 1
    fi
fi

# Builds a program of cargo once, of exactly this version.
install() {
    local program=$1 version=$2 takes=$3
    local root=$tools/$program-$version
    if [ ! -x "$root/bin/$program" ]; then
        say "building $program $version ($takes on 2 cores, the first time only)"
        CARGO_TARGET_DIR="$root/target" cargo install --quiet --locked --root "$root" --no-track "$program@$version" >&2
        rm -rf "$root/target"
    fi
    directories+=("$root/bin")
}

directories=()
install cargo-deny 0.20.2 '3 minutes'
if [ "${1:-}" = fuzz ]; then
    install cargo-fuzz 0.13.2 'half a minute'
elif [ "${1:-}" = bench ]; then
    install oha 1.16.0 '5 minutes'
fi

prometheus=$tools/prometheus
mkdir -p "$prometheus"
if [ ! -x "$prometheus/promtool" ]; then
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
        ln -sf "$(command -v prometheus)" "$(command -v promtool)" "$prometheus/"
    else
        say "unpacking Debian's prometheus"
        unpacked=$(mktemp -d)
        trap 'rm -rf "$unpacked"' EXIT
        if ! (cd "$unpacked" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) >&2; then
            say "please install prometheus and promtool: https://prometheus.io/download"
            exit 1
        fi
        mv "$unpacked"/usr/bin/prometheus "$unpacked"/usr/bin/promtool "$prometheus/"
    fi
fi

directories+=("$prometheus")

IFS=:
echo "${directories[*]}"
