#!/usr/bin/env bash
# Builds Prometheus, without its user interface and with Kubernetes as its only discovery besides files, into a cache that
# outlives the checkout, and leaves a link to it: LINK/prometheus.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly version=$(sed -n 's/^.*github.com\/prometheus\/prometheus \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
target=$(tools_cache)/prometheus-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,prometheus.go,build.sh})

# build FOLDER
build() {
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" \
    -tags remove_all_sd,enable_kubernetes_sd -o "$1/prometheus" github.com/prometheus/prometheus/cmd/prometheus)
}

tools_build_once "Prometheus $version" "4 minutes" "$target" build
tools_link "$target" "$link"
