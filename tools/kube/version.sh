# How the version of a module's k8s.io/kubernetes gets into its programs. Source it.

# kube_version MODULE-DIR prints it: v1.36.3.
kube_version() { sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$1/go.mod" | head -n 1; }

# kube_build MODULE-DIR VERSION PROGRAM builds the module's main package.
kube_build() {
  local major minor prefix=k8s.io/component-base/version
  IFS=. read -r major minor _ <<<"${2#v}"
  (cd "$1" && GOWORK=off GOFLAGS=-mod=readonly go build -buildvcs=false \
    -ldflags "-s -w -X $prefix.gitVersion=$2 -X $prefix.gitMajor=$major -X $prefix.gitMinor=$minor" -o "$3" .)
}
