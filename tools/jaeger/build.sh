#!/usr/bin/env bash
# Builds Jaeger, without its user interface, into a cache that outlives the checkout, and leaves a link to it: LINK/jaeger.
#
#   build.sh LINK
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
tools_go_program "$here" "$1" Jaeger "4 minutes" jaeger github.com/jaegertracing/jaeger/cmd/all-in-one github.com/jaegertracing/jaeger
