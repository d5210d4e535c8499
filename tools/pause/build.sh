#!/usr/bin/env bash
# Builds pause, which holds the namespaces of each Pod, into a cache that outlives the checkout, and leaves a link to
# it: LINK/pause.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
target=$(tools_cache)/pause-$(go env GOARCH)-$(tools_digest "$here"/{pause.c,build.sh})

# build FOLDER
build() {
  if ! command -v "${CC:-gcc}" >/dev/null; then
    echo "tools: build pause: a C compiler is missing: apt-get install --no-install-recommends gcc libc6-dev" >&2
    return 1
  fi
  "${CC:-gcc}" -Os -Wall -static -s -o "$1/pause" "$here/pause.c"
}

tools_build_once "pause" "1 second" "$target" build
tools_link "$target" "$link"
