#!/usr/bin/env bash
# Builds the static release binary, lays it out beside the licence as the context of the Containerfile, and prints that directory:
# target/image.
#
# glibc is linked in: since 2.34 it resolves names without loading anything, and since 2.36 it reads packed relocations, which take
# 8 KiB of memory instead of 750. Paths of this machine are left out of the binary, so that the same sources and the same Rust give
# the same bytes anywhere.
set -euo pipefail
cd "$(dirname "$0")/../.."

triple=$(rustc -vV | sed -n 's/^host: //p')
variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUSTFLAGS
flags="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
export "$variable=$flags --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/quorate"
# They would be taken in place of the above.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
# Cargo sets these for the tests that call this; build scripts that look at them would have everything built anew.
unset "${!CARGO_PKG_@}" "${!CARGO_MANIFEST_@}" CARGO_CRATE_NAME CARGO_PRIMARY_PACKAGE
# It is for the image; build scripts of what is in C look at it, and would do the same.
unset SOURCE_DATE_EPOCH

# Naming the target, though it is this machine's own, keeps the flags off build scripts and macros, which can't be static.
nice cargo build --release --locked --target "$triple" --bin quorate >&2

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/image"
install -m 0755 "$target/$triple/release/quorate" "$target/image/quorate"
install -m 0644 LICENSE "$target/image/LICENSE"
echo "$target/image"
