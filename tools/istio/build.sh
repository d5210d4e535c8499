#!/usr/bin/env bash
# Builds what the lab runs of the versions of Istio in lib/istioversion/versions.yaml into a cache that outlives the
# checkout, and leaves links to it:
#
#   LINK/v1x31/pilot-discovery           istiod
#   LINK/v1x31/pilot-agent               what starts Envoy in the proxy's image
#   LINK/v1x31/envoy_bootstrap_tmpl.json what it makes Envoy's configuration of
#   LINK/v1x31/echo/                     Istio's test server and client (of the table's first version only)
#
#   build.sh LINK [REVISION...]
#
# Without revisions it builds all; "default" is the revision of the table's first version. Each is built from the Go
# module that tools/istio-<revision>/go.mod pins, and is stamped with that module's own full version.
set -euo pipefail

readonly link=$1
shift
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Those of Istio's own release builds: smaller and faster code for protobuf messages.
readonly tags=vtprotobuf,disable_pgv
source "$here/../lib.sh"

# full MODULE-VERSION prints the version of Istio that the table says it is: 1.31.0.
full() {
  awk -v module="$1" '
    $1 == "-" && $2 == "version:" { gsub(/"/, "", $3); minor = $3 }
    $1 == "version:" { found = $2 == module }
    found && $1 == "patch:" { print minor "." $2; exit }
  ' "$tools_istio_table"
}

# programs MODULE-DIR VERSION FOLDER PACKAGE...
programs() {
  (cd "$1" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
    -ldflags "-s -w -X istio.io/istio/pkg/version.buildVersion=$2" -o "$3/" "${@:4}")
}

# build MODULE-DIR VERSION FOLDER
build() {
  local files
  programs "$@" istio.io/istio/pilot/cmd/{pilot-discovery,pilot-agent}
  files=$(cd "$1" && GOWORK=off GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' istio.io/istio)
  install -m 644 "$files/tools/packaging/common/envoy_bootstrap.json" "$3/envoy_bootstrap_tmpl.json"
  [[ $(basename "$1") == istio-$default ]] || return 0
  mkdir "$3/echo"
  programs "$1" "$2" "$3/echo" istio.io/istio/pkg/test/echo/cmd/{server,client}
  install -m 644 "$files/tests/testdata/certs/dns/cert-chain.pem" "$3/echo/cert.crt"
  install -m 644 "$files/tests/testdata/certs/dns/key.pem" "$3/echo/cert.key"
}

readonly default=$(tools_istio_revisions default)
for name in $(tools_istio_revisions "$@"); do
  module=$here/../istio-$name
  pinned=$(sed -n 's/^.*istio.io\/istio \(v[^ ]*\).*/\1/p' "$module/go.mod" | head -n 1)
  version=$(full "$pinned")
  : "${version:?$tools_istio_table has no version with the module istio.io/istio $pinned of $module/go.mod}"
  target=$(tools_cache)/istio-$version-$(go env GOARCH)-$(tools_digest "$module"/{go.mod,go.sum,istio.go} "${BASH_SOURCE[0]}" <(echo "$default"))
  tools_build_once "Istio $version" "about 5 minutes" "$target" build "$module" "$version"
  tools_link "$target" "$link/$name"
done
