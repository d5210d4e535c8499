#!/usr/bin/env bash
# Builds CoreDNS into a cache that outlives the checkout, and leaves a link to
# it: LINK/coredns.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module

cd "$here"
readonly version=$(sed -n 's/^.*github.com\/coredns\/coredns \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
readonly sources=$(cat go.mod go.sum coredns.go build.sh | sha256sum | cut -c 1-12)
readonly target=$cache/coredns-$version-$(go env GOARCH)-$sources

if [[ ! -x $target/coredns ]]; then
  echo "tools: building CoreDNS $version: about 2 minutes the first time"
  begun=$SECONDS
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" \
    -o "$building/coredns" github.com/coredns/coredns
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: CoreDNS $version is built: $target"
fi
cd - >/dev/null
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
