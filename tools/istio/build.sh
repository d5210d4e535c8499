#!/usr/bin/env bash
# Builds what the lab runs of every version of Istio in
# lib/istioversion/versions.yaml into a cache that outlives the checkout, and
# leaves links to it:
#
#   LINK/v1x31/pilot-discovery           istiod
#   LINK/v1x31/pilot-agent               what starts Envoy in the proxy's image
#   LINK/v1x31/envoy_bootstrap_tmpl.json what it makes Envoy's configuration of
#   LINK/v1x31/echo/                     Istio's test server and client (default version only)
#
#   build.sh LINK [REVISION...]    (all revisions when none is named)
set -euo pipefail

readonly link=$1 wanted=" ${*:2} "
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly versions=$here/../../lib/istioversion/versions.yaml
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
# Those of Istio's own release builds: smaller and faster code for protobuf messages.
readonly tags=vtprotobuf,disable_pgv

# full MODULE-DIR prints the version that its go.mod stands for in the table: 1.29.1.
full() {
  awk -v module="$(sed -n 's/^.*istio.io\/istio \(v[^ ]*\).*/\1/p' "$1/go.mod" | head -n 1)" '
    $2 == "version:" { gsub(/"/, "", $3); version = $3 }
    $1 == "patch:" { patch = $2 }
    $1 == "module:" && $2 == module { print version "." patch }
  ' "$versions"
}

# build VERSION DIR PACKAGE... puts programs of the module in the current folder into DIR.
build() {
  local version=$1 dir=$2
  shift 2
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
    -ldflags "-s -w -X istio.io/istio/pkg/version.buildVersion=${version:?is not in versions.yaml}" -o "$dir/" "$@"
}

# The first in the table is the default.
readonly default=$(sed -n 's/^- version: "\(.*\)"$/v\1/p' "$versions" | head -n 1 | tr . x)

mkdir -p "$link"
for module in "$here"/../istio-v*; do
  revision=$(basename "$module")
  revision=${revision#istio-}
  [[ -z ${wanted// /} || $wanted == *" $revision "* ]] || continue
  version=$(full "$module")
  sources=$(echo "$version $default" | cat - "$module"/{go.mod,go.sum,istio.go} "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
  target=$cache/istio-$revision-$(go env GOARCH)-$sources
  if [[ ! -x $target/pilot-discovery ]]; then
    echo "tools: building istiod and pilot-agent $version: about 5 minutes the first time"
    begun=$SECONDS
    mkdir -p "$cache"
    # Built beside its place and moved there whole, so that an interrupted or a
    # second, simultaneous build leaves nothing half done.
    building=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    (
      cd "$module"
      build "$version" "$building" istio.io/istio/pilot/cmd/{pilot-discovery,pilot-agent}
      files=$(GOWORK=off GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' istio.io/istio)
      install -m 644 "$files/tools/packaging/common/envoy_bootstrap.json" "$building/envoy_bootstrap_tmpl.json"
      if [[ $revision == "$default" ]]; then
        mkdir "$building/echo"
        build "$version" "$building/echo" istio.io/istio/pkg/test/echo/cmd/{server,client}
        install -m 644 "$files/tests/testdata/certs/dns/cert-chain.pem" "$building/echo/cert.crt"
        install -m 644 "$files/tests/testdata/certs/dns/key.pem" "$building/echo/cert.key"
      fi
    )
    chmod 755 "$building"
    rm -rf "$target"
    mv -T "$building" "$target"
    echo "tools: built in $((SECONDS - begun)) s: $target"
  else
    echo "tools: Istio $version is built: $target"
  fi
  ln -sfn "$target" "$link/$revision"
done
