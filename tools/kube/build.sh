#!/usr/bin/env bash
# Builds the control plane of the lab into a cache that outlives the checkout,
# and leaves a link to it.
#
#   build.sh LINK
#
# Nothing is built when KUBEBUILDER_ASSETS names a folder with all three
# programs: the lab then uses those. A folder made by setup-envtest has no
# kube-controller-manager; the lab takes that one from here.
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

if [[ -n ${KUBEBUILDER_ASSETS:-} ]] && complete "$KUBEBUILDER_ASSETS"; then
  echo "tools: the control plane in KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS is used"
  exit 0
fi

cd "$here"
readonly version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
IFS=. read -r major minor _ <<<"${version#v}"
readonly sources=$(cat go.mod go.sum main.go build.sh | sha256sum | cut -c 1-12)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
readonly target=$cache/kubernetes-$version-$(go env GOARCH)-$sources/kube

if ! complete "$target"; then
  echo "tools: building etcd, kube-apiserver and kube-controller-manager $version: about 5 minutes the first time"
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
  echo "tools: the control plane $version is built: $target"
fi

cd - >/dev/null
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
