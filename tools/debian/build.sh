#!/usr/bin/env bash
# Makes the floor of the image of Istio's proxy, a Debian with glibc and
# iptables alone, in a cache that outlives the checkout, and leaves a link to
# it: LINK/rootfs.tar. Packages are only unpacked; tools/images does what their
# scripts would, and leaves out what no program reads.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
readonly suite=bookworm packages=libc6,iptables,netbase
readonly sources=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-12)
readonly target=$cache/debian-$suite-$(go env GOARCH)-$sources

if [[ ! -f $target/rootfs.tar ]]; then
  if ! command -v mmdebstrap >/dev/null; then
    echo "tools: make a Debian for the proxy's image: mmdebstrap is missing: apt-get install --no-install-recommends mmdebstrap" >&2
    exit 1
  fi
  echo "tools: unpacking $packages of Debian $suite: a few seconds"
  begun=$SECONDS
  mkdir -p "$cache"
  # Made beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous one leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  mmdebstrap --quiet --variant=extract --include="$packages" "$suite" "$building/rootfs.tar"
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: made in $((SECONDS - begun)) s: $target"
else
  echo "tools: Debian $suite is there: $target"
fi
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
