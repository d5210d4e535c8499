#!/usr/bin/env bash
# Builds the programs of Kubernetes' control plane and nodes, and kubectl, into a cache that outlives the checkout, and
# leaves a link to it.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
source "$here/../lib.sh"
source "$here/version.sh"

# build FOLDER
build() {
  local program
  kube_build "$here" "$version" "$1/kube"
  for program in "${programs[@]}"; do
    ln -s kube "$1/$program"
  done
}

version=$(kube_version "$here")
target=$(tools_cache)/kubernetes-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,main.go,build.sh})
tools_build_once "Kubernetes $version and etcd" "about 5 minutes" "$target" build
tools_link "$target" "$link"
