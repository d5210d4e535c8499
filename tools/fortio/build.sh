#!/usr/bin/env bash
# Builds fortio, with which `make bench` puts a load on proxies, into a cache that outlives the checkout, and leaves a
# link to it: LINK/fortio.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
version=$(sed -n 's/^.*fortio.org\/fortio \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/fortio-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" -o "$1/fortio" fortio.org/fortio)
}

tools_build_once "fortio $version" "half a minute" "$target" build
tools_link "$target" "$link"
