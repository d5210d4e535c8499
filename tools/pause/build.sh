#!/usr/bin/env bash
# Builds pause, which holds the namespaces of each Pod, into a cache that
# outlives the checkout, and leaves a link to it: LINK/pause.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
readonly sources=$(cat "$here"/{pause.c,build.sh} | sha256sum | cut -c 1-12)
readonly target=$cache/pause-$(go env GOARCH)-$sources

if [[ ! -x $target/pause ]]; then
  if ! command -v "${CC:-gcc}" >/dev/null; then
    echo "tools: build pause: a C compiler is missing: apt-get install --no-install-recommends gcc libc6-dev" >&2
    exit 1
  fi
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  "${CC:-gcc}" -Os -Wall -static -s -o "$building/pause" "$here/pause.c"
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built pause: $target"
else
  echo "tools: pause is built: $target"
fi
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
