#!/usr/bin/env bash
# Makes the floor of the image of Istio's proxy, a Debian with glibc and iptables alone, in a cache that outlives the
# checkout, and leaves a link to it: LINK/rootfs.tar. Packages are only unpacked; tools/images does what their scripts
# would, and leaves out what no program reads.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly suite=bookworm packages=libc6,iptables,netbase
target=$(tools_cache)/debian-$suite-$(go env GOARCH)-$(tools_digest "${BASH_SOURCE[0]}")

# unpack FOLDER
unpack() {
  if ! command -v mmdebstrap >/dev/null; then
    echo "tools: make a Debian for the proxy's image: mmdebstrap is missing: apt-get install --no-install-recommends mmdebstrap" >&2
    return 1
  fi
  mmdebstrap --quiet --variant=extract --include="$packages" "$suite" "$1/rootfs.tar"
}

tools_build_once "$packages of Debian $suite" "5 seconds" "$target" unpack
tools_link "$target" "$link"
