#!/usr/bin/env bash
# Builds the image with buildah, podman or docker, whichever is there (or BUILDER says), as IMAGE (quorate:<version>). With ARCHIVE
# it is written to that file too, as an OCI archive (not with docker).
#
# The same binary gives the same image, to the digest: times are those of the last commit, or SOURCE_DATE_EPOCH.
# Progress goes to stderr; stdout says what was built, and how large it is.
set -euo pipefail
cd "$(dirname "$0")/../.."

builder=${BUILDER:-}
for candidate in buildah podman docker; do
    if [ -z "$builder" ] && command -v "$candidate" >/dev/null; then
        builder=$candidate
    fi
done
if [ -z "$builder" ]; then
    echo "image: buildah, podman or docker is needed to build an image" >&2
    exit 1
fi

binary=$(deploy/image/binary.sh)
version=$("$binary" --version | cut -d' ' -f2)
image=${IMAGE:-quorate:$version}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH=$epoch

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -m 0755 "$binary" "$context/quorate"
install -m 0644 LICENSE "$context/LICENSE"
touch --no-create --date="@$epoch" "$context" "$context"/*

arguments=(--file Containerfile --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" --tag "$image")
case $builder in
    *buildah) "$builder" build --isolation chroot --timestamp "$epoch" "${arguments[@]}" "$context" >&2 ;;
    *podman) "$builder" build --timestamp "$epoch" "${arguments[@]}" "$context" >&2 ;;
    *) "$builder" build "${arguments[@]}" "$context" >&2 ;;
esac
if [ -n "${ARCHIVE:-}" ]; then
    rm -f "$ARCHIVE"
    "$builder" push "$image" "oci-archive:$ARCHIVE:$image" >&2
    echo "$ARCHIVE: $(stat --format=%s "$ARCHIVE") bytes"
fi
echo "$image: a binary of $(stat --format=%s "$context/quorate") bytes"
