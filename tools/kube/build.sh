#!/usr/bin/env bash
# Builds the programs of Kubernetes' control plane and nodes, and kubectl, into
# a cache that outlives the checkout, and leaves a link to it.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

complete() {
  local program
  for program in "${programs[@]}"; do
    [[ -x $1/$program ]] || return 1
  done
}

cd "$here"
readonly version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
IFS=. read -r major minor _ <<<"${version#v}"
readonly sources=$(cat go.mod go.sum main.go build.sh | sha256sum | cut -c 1-12)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
readonly target=$cache/kubernetes-$version-$(go env GOARCH)-$sources/kube

if ! complete "$target"; then
  echo "tools: building Kubernetes $version and etcd: about 5 minutes the first time"
  begun=$SECONDS
  mkdir -p "$(dirname "$target")"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$(dirname "$target").XXXXXX")
  trap 'rm -rf "$building"' EXIT
  mkdir "$building/kube"
  prefix=k8s.io/component-base/version
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false \
    -ldflags "-s -w -X $prefix.gitVersion=$version -X $prefix.gitMajor=$major -X $prefix.gitMinor=$minor" \
    -o "$building/kube/kube" .
  for program in "${programs[@]}"; do
    ln -s kube "$building/kube/$program"
  done
  rm -rf "$target"
  mv -T "$building/kube" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: Kubernetes $version is built: $target"
fi

cd - >/dev/null
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
