#!/usr/bin/env bash
# Builds kube-apiserver of the oldest and of the newest supported Kubernetes
# into a cache that outlives the checkout, and leaves links to them:
# LINK/v1.32.13/kube-apiserver, and so on. The newest is the lab's, in the
# binary that build.sh makes; the others have modules of their own, kube-v*.
#
#   build-apiservers.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module
readonly prefix=k8s.io/component-base/version

# Links to versions that are no longer supported would be tested, too.
rm -rf "$link"
mkdir -p "$link"
newest=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -n 1)
"$here/build.sh" "$link/$newest"
for module in "$here"/../kube-v*; do
  version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$module/go.mod" | head -n 1)
  IFS=. read -r major minor _ <<<"${version#v}"
  sources=$(cat "$module"/{go.mod,go.sum,main.go} "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
  target=$cache/kube-apiserver-$version-$(go env GOARCH)-$sources
  if [[ ! -x $target/kube-apiserver ]]; then
    echo "tools: building kube-apiserver $version: about 4 minutes the first time"
    begun=$SECONDS
    mkdir -p "$cache"
    building=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    (cd "$module" && GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false \
      -ldflags "-s -w -X $prefix.gitVersion=$version -X $prefix.gitMajor=$major -X $prefix.gitMinor=$minor" \
      -o "$building/kube-apiserver" .)
    chmod 755 "$building"
    rm -rf "$target"
    mv -T "$building" "$target"
    echo "tools: built in $((SECONDS - begun)) s: $target"
  else
    echo "tools: kube-apiserver $version is built: $target"
  fi
  ln -sfn "$target" "$link/$version"
done
