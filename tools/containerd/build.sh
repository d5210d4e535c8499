#!/usr/bin/env bash
# Builds containerd with its shim and client, and the CNI plugins, into a cache that outlives the checkout, and leaves
# links to them: FOLDER/containerd, and so on.
#
#   build.sh FOLDER
set -euo pipefail

readonly folder=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
# Snapshotters that the lab does not use, and whose C headers nobody should need.
readonly tags=no_btrfs,no_devmapper,no_zfs
readonly containerd=github.com/containerd/containerd/v2 plugins=github.com/containernetworking/plugins
readonly packages=(
  $containerd/cmd/{containerd,containerd-shim-runc-v2,ctr}
  $plugins/plugins/{main/bridge,main/ptp,main/loopback,ipam/host-local,meta/portmap}
)

readonly version=$(sed -n 's/^.*containerd\/containerd\/v2 \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/containerd-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,containerd.go,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -tags "$tags" \
    -ldflags "-s -w -X $containerd/version.Version=$version" -o "$1/" "${packages[@]}")
}

tools_build_once "containerd $version and the CNI plugins" "2 minutes" "$target" build
for package in "${packages[@]}"; do
  tools_link "$target/$(basename "$package")" "$folder/$(basename "$package")"
done
