#!/usr/bin/env bash
# Builds CoreDNS into a cache that outlives the checkout, and leaves a link to it: LINK/coredns.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly version=$(sed -n 's/^.*github.com\/coredns\/coredns \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/coredns-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,main.go,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" \
    -o "$1/coredns" .)
}

tools_build_once "CoreDNS $version" "1 minute" "$target" build
tools_link "$target" "$link"
