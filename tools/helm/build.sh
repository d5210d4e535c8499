#!/usr/bin/env bash
# Builds Helm, with which the tests install the operator as people do, into a cache that outlives the checkout, and
# leaves a link to it: LINK/helm.
#
#   build.sh LINK
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
tools_go_program "$here" "$1" Helm "one minute" helm helm.sh/helm/v3/cmd/helm helm.sh/helm/v3
