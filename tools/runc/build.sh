#!/usr/bin/env bash
# Builds runc with seccomp into a cache that outlives the checkout, and leaves a link to it: FOLDER/runc.
#
#   build.sh FOLDER
set -euo pipefail

readonly folder=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly version=$(sed -n 's/^.*opencontainers\/runc \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/runc-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,runc.go,build.sh})

# require names the Debian packages that are missing, all at once.
require() {
  local missing=()
  command -v "${CC:-gcc}" >/dev/null || missing+=(gcc libc6-dev)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  pkg-config --exists libseccomp 2>/dev/null || missing+=(libseccomp-dev)
  ((${#missing[@]} == 0)) && return
  echo "tools: build runc: it needs a C compiler and libseccomp: apt-get install --no-install-recommends ${missing[*]}" >&2
  return 1
}

# build FOLDER. runc's own C code starts containers: it cannot be built without cgo.
build() {
  require
  (cd "$here" && CGO_ENABLED=1 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags seccomp \
    -ldflags "-s -w -X main.version=$version" -o "$1/runc" github.com/opencontainers/runc)
}

tools_build_once "runc $version" "10 seconds" "$target" build
tools_link "$target/runc" "$folder/runc"
