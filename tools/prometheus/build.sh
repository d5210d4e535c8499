#!/usr/bin/env bash
# Builds Prometheus, without its user interface and with Kubernetes as its only discovery besides files, into a cache that
# outlives the checkout, and leaves a link to it: LINK/prometheus.
#
#   build.sh LINK
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
tools_go_program "$here" "$1" Prometheus "4 minutes" prometheus github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus \
  -tags remove_all_sd,enable_kubernetes_sd
