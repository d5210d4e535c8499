#!/usr/bin/env bash
# Compiles suites of tests by others, where Go keeps their modules, into a cache that outlives the checkout, and leaves
# links to it:
#
#   LINK/gateway-api/suite.test         the conformance tests of Gateway API
#   LINK/gateway-api/crds/              Gateway API's CRDs, of its standard channel
#   LINK/istio-security/suite.test      Istio's integration tests of that folder; LINK/istio-pilot likewise
#   LINK/istio-security/source          a link to the folder of Istio's module from which they are to run
#   LINK/servers/                       what Istio's tests run in Pods beside its echo: extauthz, jwt-server
#
#   build.sh LINK NAME...
set -euo pipefail

readonly link=$1
shift
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
# Of Istio's own builds, and of its integration tests.
readonly tags=integ,vtprotobuf,disable_pgv

# folder MODULE prints where Go keeps it.
folder() { (cd "$here" && GOWORK=off GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' "$1"); }

# suite PACKAGE FILE
suite() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go test -c -buildvcs=false -tags "$tags" -ldflags "-s -w" -o "$2" "$1")
}

# program PACKAGE FILE
program() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" -o "$2" "$1")
}

# build NAME FOLDER
build() {
  local module
  case $1 in
  gateway-api)
    module=$(folder sigs.k8s.io/gateway-api)
    suite sigs.k8s.io/gateway-api/conformance "$2/suite.test"
    mkdir "$2/crds"
    install -m 644 "$module"/config/crd/standard/gateway.networking.k8s.io_*.yaml "$2/crds/"
    ;;
  istio-*)
    module=$(folder istio.io/istio)
    suite "istio.io/istio/tests/integration/${1#istio-}" "$2/suite.test"
    ln -s "$module/tests/integration/${1#istio-}" "$2/source"
    ;;
  servers)
    program istio.io/istio/samples/extauthz/cmd/extauthz "$2/extauthz"
    program istio.io/istio/samples/jwt-server/src "$2/jwt-server"
    ;;
  *)
    echo "build.sh: there is no $1" >&2
    return 1
    ;;
  esac
}

for name in "$@"; do
  target=$(tools_cache)/conformance-$name-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,suites.go,build.sh})
  tools_build_once "$name of others' tests" "2 minutes" "$target" build "$name"
  tools_link "$target" "$link/$name"
done
