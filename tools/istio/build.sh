#!/usr/bin/env bash
# Builds istiod (pilot-discovery) of every version in lib/istioversion/versions.yaml
# into a cache that outlives the checkout, and leaves links to them:
# LINK/v1x29/pilot-discovery, and so on.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
# Those of Istio's own release builds: smaller and faster code for protobuf messages.
readonly tags=vtprotobuf,disable_pgv

mkdir -p "$link"
# full MODULE-DIR prints the version that its go.mod stands for in the table: 1.29.1.
full() {
  awk -v module="$(sed -n 's/^.*istio.io\/istio \(v[^ ]*\).*/\1/p' "$1/go.mod" | head -n 1)" '
    $2 == "version:" { gsub(/"/, "", $3); version = $3 }
    $1 == "patch:" { patch = $2 }
    $1 == "module:" && $2 == module { print version "." patch }
  ' "$here/../../lib/istioversion/versions.yaml"
}

for module in "$here"/../istio-v*; do
  revision=$(basename "$module")
  revision=${revision#istio-}
  version=$(full "$module")
  sources=$(echo "$version" | cat - "$module"/{go.mod,go.sum,istio.go} "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
  target=$cache/istio-$revision-$(go env GOARCH)-$sources
  if [[ ! -x $target/pilot-discovery ]]; then
    echo "tools: building istiod $version: about 4 minutes the first time"
    begun=$SECONDS
    mkdir -p "$cache"
    # Built beside its place and moved there whole, so that an interrupted or a
    # second, simultaneous build leaves nothing half done.
    building=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    (cd "$module" && GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
      -ldflags "-s -w -X istio.io/istio/pkg/version.buildVersion=${version:?is not in versions.yaml}" \
      -o "$building/pilot-discovery" istio.io/istio/pilot/cmd/pilot-discovery)
    chmod 755 "$building"
    rm -rf "$target"
    mv -T "$building" "$target"
    echo "tools: built in $((SECONDS - begun)) s: $target"
  else
    echo "tools: istiod $version is built: $target"
  fi
  ln -sfn "$target" "$link/$revision"
done
