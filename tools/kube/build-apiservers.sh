#!/usr/bin/env bash
# Builds kube-apiserver of the oldest and of the newest supported Kubernetes into a cache that outlives the checkout, and
# leaves links to them: LINK/v1.32.13/kube-apiserver, and so on. The newest is the lab's, in the binary that build.sh
# makes; the others have modules of their own, kube-v*.
#
#   build-apiservers.sh LINK
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/version.sh"

# build MODULE-DIR VERSION FOLDER
build() { kube_build "$1" "$2" "$3/kube-apiserver"; }

# Links to versions that are no longer supported would be tested, too.
rm -rf "$link"
"$here/build.sh" "$link/$(kube_version "$here")"
for module in "$here"/../kube-v*; do
  version=$(kube_version "$module")
  target=$(tools_cache)/kube-apiserver-$version-$(go env GOARCH)-$(tools_digest "$module"/{go.mod,go.sum,main.go} "${BASH_SOURCE[0]}")
  tools_build_once "kube-apiserver $version" "about 4 minutes" "$target" build "$module" "$version"
  tools_link "$target" "$link/$version"
done
