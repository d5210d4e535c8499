#!/usr/bin/env bash
# Builds prometheus-config, which does what prometheus-operator does with PodMonitors, into a cache that outlives the
# checkout, and leaves links to it and to the CRDs that go with it:
#
#   LINK/prometheus-config
#   LINK/crds/               of PodMonitor, ServiceMonitor and PrometheusRule
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
readonly module=github.com/prometheus-operator/prometheus-operator
readonly version=$(sed -n "s#^.*$module \(v[0-9.]*\).*#\1#p" "$here/go.mod" | head -n 1)
target=$(tools_cache)/prometheus-config-$version-$(go env GOARCH)-$(tools_digest "$here"/{go.mod,go.sum,main.go,build.sh})

# build FOLDER
build() {
  local crds
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" -o "$1/prometheus-config" .)
  crds=$(cd "$here" && GOWORK=off GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' "$module")/example/prometheus-operator-crd
  mkdir "$1/crds"
  install -m 644 "$crds"/monitoring.coreos.com_{podmonitors,servicemonitors,prometheusrules}.yaml "$1/crds/"
}

tools_build_once "the configuration of prometheus-operator $version" "2 minutes" "$target" build
tools_link "$target" "$link"
