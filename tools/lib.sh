# For tools/*/build.sh, which build other people's programs into a cache that outlives the checkout. Source it.

# tools_cache prints where everything is kept.
tools_cache() { echo "${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/istio-module"; }

# tools_digest FILE... prints what distinguishes builds from different sources.
tools_digest() { cat "$@" | sha256sum | cut -c 1-12; }

# tools_link TARGET LINK makes or moves a link.
tools_link() {
  mkdir -p "$(dirname "$2")"
  ln -sfn "$1" "$2"
}

# The table of Istio's versions.
readonly tools_istio_table=$(dirname "${BASH_SOURCE[0]}")/../lib/istioversion/versions.yaml

# tools_istio_revisions [REVISION...] prints them, each on a line: "default" is that of the table's first version, and
# without any it prints all of the table, newest first.
tools_istio_revisions() {
  local all
  all=$(awk '$1 == "-" && $2 == "version:" { gsub(/"/, "", $3); sub(/\./, "x", $3); print "v" $3 }' "$tools_istio_table")
  if (($# == 0)); then
    echo "$all"
  else
    printf '%s\n' "${@/#default/$(head -n 1 <<<"$all")}"
  fi
}

# How often a build that takes long says that it goes on, in seconds.
readonly tools_report_every=15

tools_building=
tools_ticker=
tools_clean() {
  [[ -z $tools_ticker ]] || kill "$tools_ticker" 2>/dev/null || true
  [[ -z $tools_building ]] || rm -rf "$tools_building"
  tools_ticker= tools_building=
}
trap tools_clean EXIT

# tools_tick WHAT USUALLY reports until it is ended. read waits without a process that could outlive this one.
tools_tick() {
  while true; do
    read -rt "$tools_report_every" <> <(:) || true
    echo "tools: building $1: $((SECONDS - begun)) s so far, usually $2"
  done
}

# tools_build_once WHAT USUALLY TARGET COMMAND... fills the folder TARGET unless it is there: it runs the command with
# one more argument, a folder beside TARGET that gets its name when the command has succeeded. So an interrupted or a
# second, simultaneous build leaves nothing half done.
tools_build_once() {
  local what=$1 usually=$2 target=$3 begun=$SECONDS
  shift 3
  if [[ -d $target ]]; then
    echo "tools: $what is built: $target"
    return
  fi
  echo "tools: building $what: usually $usually the first time"
  mkdir -p "$(dirname "$target")"
  tools_building=$(mktemp -d "$target.XXXXXX")
  tools_tick "$what" "$usually" &
  tools_ticker=$!
  "$@" "$tools_building"
  chmod 755 "$tools_building"
  kill "$tools_ticker" 2>/dev/null || true
  wait "$tools_ticker" 2>/dev/null || true
  tools_ticker=
  # A faster build of the same sources has the same result.
  if ! mv -T "$tools_building" "$target" 2>/dev/null && [[ ! -d $target ]]; then
    echo "tools: cannot move $tools_building to $target" >&2
    return 1
  fi
  tools_clean
  echo "tools: built $what in $((SECONDS - begun)) s: $target"
}

# tools_go_program HERE LINK TITLE USUALLY PROGRAM PACKAGE MODULE [FLAG...] builds the package as the program, in the
# version of the module that HERE/go.mod names and with flags of go build, and leaves a link to it: LINK/PROGRAM.
tools_go_program() {
  local here=$1 link=$2 title=$3 usually=$4 program=$5 package=$6 module=$7 version target
  shift 7
  version=$(sed -n "s#^.*$module \(v[0-9.]*\).*#\1#p" "$here/go.mod" | head -n 1)
  target=$(tools_cache)/$program-$version-$(go env GOARCH)-$(tools_digest "$here"/*)
  tools_build_once "$title $version" "$usually" "$target" tools_go_build "$here" "$program" "$package" "$@"
  tools_link "$target" "$link"
}

# tools_go_build HERE PROGRAM PACKAGE [FLAG...] FOLDER
tools_go_build() {
  local here=$1 program=$2 package=$3 folder=${*: -1}
  set -- "${@:4:$#-4}"
  (cd "$here" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false -ldflags "-s -w" "$@" -o "$folder/$program" "$package")
}
