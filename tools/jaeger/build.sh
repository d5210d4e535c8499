#!/usr/bin/env bash
# Builds Jaeger, without its user interface, into a cache that outlives the checkout, and leaves a link to it: LINK/jaeger.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly version=$(sed -n 's/^.*github.com\/jaegertracing\/jaeger \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/jaeger-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,jaeger.go,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" \
    -o "$1/jaeger" github.com/jaegertracing/jaeger/cmd/all-in-one)
}

tools_build_once "Jaeger $version" "4 minutes" "$target" build
tools_link "$target" "$link"
