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

context=$(deploy/image/context.sh)
version=$("$context/quorate" --version | cut -d' ' -f2)
image=${IMAGE:-quorate:$version}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

arguments=(--file Containerfile --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" --tag "$image")
case $builder in
    *buildah) "$builder" build --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" "$context" >&2 ;;
    *podman) "$builder" build --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" "$context" >&2 ;;
    *) "$builder" build "${arguments[@]}" "$context" >&2 ;;
esac
if [ -n "${ARCHIVE:-}" ]; then
    rm -f "$ARCHIVE"
    "$builder" push "$image" "oci-archive:$ARCHIVE:$image" >&2
    echo "$ARCHIVE: $(stat --format=%s "$ARCHIVE") bytes, compressed"
fi
echo "$image: $(cat "$context/quorate" "$context/LICENSE" | wc -c) bytes"
