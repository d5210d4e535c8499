#!/usr/bin/env bash
# Builds istiod (pilot-discovery) of the versions in lib/istioversion/versions.yaml into a cache that outlives the
# checkout, and leaves links to them: LINK/v1x31/pilot-discovery, and so on.
#
#   build.sh LINK [REVISION...]
#
# Without revisions it builds all; "default" is the revision of the table's first version. Each is built from the Go
# module that tools/istio-<revision>/go.mod pins, and is stamped with that module's own full version.
set -euo pipefail

readonly link=$1
shift
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly table=$here/../../lib/istioversion/versions.yaml
# Those of Istio's own release builds: smaller and faster code for protobuf messages.
readonly tags=vtprotobuf,disable_pgv
source "$here/../lib.sh"

# minors prints the versions of the table, newest first: 1.31 and so on.
minors() { awk '$1 == "-" && $2 == "version:" { gsub(/"/, "", $3); print $3 }' "$table"; }

# revision MINOR prints its name: v1x31.
revision() { echo "v${1/./x}"; }

# full MODULE-VERSION prints the version of Istio that the table says it is: 1.31.0.
full() {
  awk -v module="$1" '
    $1 == "-" && $2 == "version:" { gsub(/"/, "", $3); minor = $3 }
    $1 == "version:" { found = $2 == module }
    found && $1 == "patch:" { print minor "." $2; exit }
  ' "$table"
}

# build MODULE-DIR VERSION FOLDER
build() {
  (cd "$1" && GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
    -ldflags "-s -w -X istio.io/istio/pkg/version.buildVersion=$2" \
    -o "$3/pilot-discovery" istio.io/istio/pilot/cmd/pilot-discovery)
}

wanted=("$@")
if ((${#wanted[@]} == 0)); then
  for minor in $(minors); do wanted+=("$(revision "$minor")"); done
fi
for name in "${wanted[@]}"; do
  [[ $name != default ]] || name=$(revision "$(minors | head -n 1)")
  module=$here/../istio-$name
  pinned=$(sed -n 's/^.*istio.io\/istio \(v[^ ]*\).*/\1/p' "$module/go.mod" | head -n 1)
  version=$(full "$pinned")
  : "${version:?$table has no version with the module istio.io/istio $pinned of $module/go.mod}"
  target=$(tools_cache)/istio-$version-$(go env GOARCH)-$(tools_digest "$module"/{go.mod,go.sum,istio.go} "${BASH_SOURCE[0]}")
  tools_build_once "istiod $version" "about 4 minutes" "$target" build "$module" "$version"
  tools_link "$target" "$link/$name"
done
