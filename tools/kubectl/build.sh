#!/usr/bin/env bash
# Builds kubectl with its command proxy only, which the benchmark compares the
# API proxy with, into a cache that outlives the checkout, and leaves a link to
# it: LINK/kubectl.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module

cd "$here"
readonly version=$(sed -n 's/^\tk8s.io\/kubectl \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
readonly sources=$(cat go.mod go.sum main.go build.sh | sha256sum | cut -c 1-12)
readonly target=$cache/kubectl-$version-$(go env GOARCH)-$sources

if [[ ! -x $target/kubectl ]]; then
  echo "tools: building kubectl proxy $version: about a minute the first time"
  begun=$SECONDS
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" -o "$building/kubectl" .
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: kubectl proxy $version is built: $target"
fi
cd - >/dev/null
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
