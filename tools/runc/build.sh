#!/usr/bin/env bash
# Builds runc with seccomp into a cache that outlives the checkout, and leaves
# a link to it: FOLDER/runc.
#
#   build.sh FOLDER
set -euo pipefail

readonly folder=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module

# require names the Debian packages that are missing, once for all.
require() {
  local missing=()
  command -v "${CC:-gcc}" >/dev/null || missing+=(gcc libc6-dev)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  pkg-config --exists libseccomp 2>/dev/null || missing+=(libseccomp-dev)
  ((${#missing[@]} == 0)) && return
  echo "tools: build runc: it needs a C compiler and libseccomp: apt-get install --no-install-recommends ${missing[*]}" >&2
  return 1
}

mkdir -p "$folder"
readonly links=$(cd "$folder" && pwd)
cd "$here"
readonly version=$(sed -n 's/^.*opencontainers\/runc \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
readonly sources=$(cat go.mod go.sum runc.go build.sh | sha256sum | cut -c 1-12)
readonly target=$cache/runc-$version-$(go env GOARCH)-$sources

if [[ ! -x $target/runc ]]; then
  require
  echo "tools: building runc $version: about 10 seconds the first time"
  begun=$SECONDS
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  # Its own C code starts containers: it cannot be built without cgo.
  CGO_ENABLED=1 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags seccomp \
    -ldflags "-s -w -X main.version=$version" -o "$building/runc" github.com/opencontainers/runc
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: runc $version is built: $target"
fi
ln -sfn "$target/runc" "$links/runc"
