#!/usr/bin/env bash
# Builds containerd with its shim and client, and the CNI plugins, into a cache
# that outlives the checkout, and leaves links to them: FOLDER/containerd, and so on.
#
#   build.sh FOLDER
set -euo pipefail

readonly folder=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
# Snapshotters that the lab does not use, and whose C headers nobody should need.
readonly tags=no_btrfs,no_devmapper,no_zfs
readonly containerd=github.com/containerd/containerd/v2 plugins=github.com/containernetworking/plugins
readonly packages=(
  $containerd/cmd/{containerd,containerd-shim-runc-v2,ctr}
  $plugins/plugins/{main/bridge,main/ptp,main/loopback,ipam/host-local,meta/portmap}
)

mkdir -p "$folder"
readonly links=$(cd "$folder" && pwd)
cd "$here"
readonly version=$(sed -n 's/^.*containerd\/containerd\/v2 \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
readonly sources=$(cat go.mod go.sum containerd.go build.sh | sha256sum | cut -c 1-12)
readonly target=$cache/containerd-$version-$(go env GOARCH)-$sources

if [[ ! -x $target/containerd ]]; then
  echo "tools: building containerd $version and the CNI plugins: about 2 minutes the first time"
  begun=$SECONDS
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
    -ldflags "-s -w -X $containerd/version.Version=$version" -o "$building/" "${packages[@]}"
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: containerd $version is built: $target"
fi
for package in "${packages[@]}"; do
  ln -sfn "$target/$(basename "$package")" "$links/$(basename "$package")"
done
