#!/usr/bin/env bash
# Builds Traefik, the lab's ingress controller, into a cache that outlives the
# checkout, and leaves a link to it: LINK/traefik.
#
#   build.sh LINK
#
# go.mod takes lego, Traefik's ACME client, from the folder .lego, which this
# makes: lego's own files with lego/dns_providers.go in place of its clients of
# some two hundred DNS providers. Make it before you run `go mod tidy` here:
#
#   build.sh lego
set -euo pipefail

readonly link=$1
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly cache=${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module

# make_lego makes .lego beside its place and moves it there whole.
make_lego() {
  local lego making
  # Outside the module that replaces it, where nothing but its name and version count.
  lego=$(cd / && GOFLAGS=-mod=mod go mod download -json "github.com/go-acme/lego/v5@$lego_version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  making=$(mktemp -d "$here/.lego.XXXXXX")
  cp -r "$lego"/{go.mod,LICENSE,acme,certcrypto,certificate,challenge,internal,lego,log,platform,registration} "$making"
  chmod -R u+w "$making"
  find "$making" -name '*_test.go' -delete
  mkdir -p "$making/providers/dns"
  cp lego/dns_providers.go "$making/providers/dns"
  rm -rf .lego
  mv -T "$making" .lego
}

cd "$here"
readonly lego_version=$(sed -n 's/^.*github.com\/go-acme\/lego\/v5 \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
if [[ $link == lego ]]; then
  make_lego
  exit
fi
readonly version=$(sed -n 's/^.*github.com\/traefik\/traefik\/v3 \(v[0-9.]*\).*/\1/p' go.mod | head -n 1)
readonly sources=$(cat go.mod go.sum traefik.go lego/*.go ext/* build.sh | sha256sum | cut -c 1-12)
readonly target=$cache/traefik-$version-$(go env GOARCH)-$sources

if [[ ! -x $target/traefik ]]; then
  echo "tools: building Traefik $version: about 4 minutes the first time"
  begun=$SECONDS
  mkdir -p "$cache"
  # Built beside its place and moved there whole, so that an interrupted or a
  # second, simultaneous build leaves nothing half done.
  building=$(mktemp -d "$target.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  make_lego
  GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" \
    -o "$building/traefik" github.com/traefik/traefik/v3/cmd/traefik
  chmod 755 "$building"
  rm -rf "$target"
  mv -T "$building" "$target"
  echo "tools: built in $((SECONDS - begun)) s: $target"
else
  echo "tools: Traefik $version is built: $target"
fi
cd - >/dev/null
mkdir -p "$(dirname "$link")"
ln -sfn "$target" "$link"
