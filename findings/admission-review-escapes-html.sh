#!/usr/bin/env bash
# The body that the API server sends to a webhook can be six times as long as the object that etcd stores.
#
# Expected before it was run: the AdmissionReview is about as long as the object, as both hold the same text.
set -euo pipefail

version=v0.37.2
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

cat >main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"strings"

	admission "k8s.io/api/admission/v1"
	apps "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func main() {
	scheme := runtime.NewScheme()
	_ = admission.AddToScheme(scheme)
	_ = apps.AddToScheme(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	json, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), "application/json")

	set := &apps.StatefulSet{}
	set.Annotations = map[string]string{"page": strings.Repeat("<", 200_000)}
	stored, _ := set.Marshal()
	review := &admission.AdmissionReview{Request: &admission.AdmissionRequest{Object: runtime.RawExtension{Object: set}}}
	var sent bytes.Buffer
	if err := codecs.EncoderForVersion(json.Serializer, admission.SchemeGroupVersion).Encode(review, &sent); err != nil {
		panic(err)
	}
	fmt.Printf("stored %d bytes, sent %d bytes\n", len(stored), sent.Len())
}
GO
go mod init finding >/dev/null 2>&1
go get "k8s.io/api@$version" "k8s.io/apimachinery@$version" >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
seen=$(go run .)

echo "version: k8s.io/apimachinery $version, $(go version | cut -d' ' -f3)"
echo "behaviour: the serializer of the AdmissionReview escapes <, > and & as six bytes each; a limit on the length of a webhook's body that follows the limits of etcd (1.5 MB) or of a request (3 MB) is too small"
echo "seen: $seen"
read -r _ stored _ _ sent _ <<<"$seen"
[ "$sent" -gt $((stored * 59 / 10)) ]
