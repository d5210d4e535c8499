#!/usr/bin/env bash
# Builds Helm, with which the tests install the operator as people do, into a cache that outlives the checkout, and
# leaves a link to it: LINK/helm.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
version=$(sed -n 's/^.*helm.sh\/helm\/v3 \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/helm-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" -o "$1/helm" helm.sh/helm/v3/cmd/helm)
}

tools_build_once "Helm $version" "one minute" "$target" build
tools_link "$target" "$link"
