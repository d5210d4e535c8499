#!/usr/bin/env bash
# Builds fortio, with which `make bench` puts a load on proxies, into a cache that outlives the checkout, and leaves a
# link to it: LINK/fortio.
#
#   build.sh LINK
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
tools_go_program "$here" "$1" fortio "half a minute" fortio fortio.org/fortio fortio.org/fortio
