//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/test/support/labtest"
)

// listingVariable has the program list its tests and nothing else.
const listingVariable = "ISTIO_E2E_LISTING"

// part of the suite: tests that share a lab.
type part string

const (
	// inFederation: two sovereign clusters.
	inFederation part = "federation"
	// whileQuiet follows inFederation in the same lab, which nothing else disturbs.
	whileQuiet part = "quiet"
	// inTraffic: two sovereign clusters, too, with applications that its tests share.
	inTraffic part = "traffic"
	// inMixed: two clusters of one mesh, and a third that is federated with the first.
	inMixed part = "mixed"
	// inInstallation: two clusters without the module.
	inInstallation part = "installation"
	// inSoak: two sovereign clusters with two gateways each, on demand.
	inSoak part = "soak"
	// inUpgrades: two clusters without the module, on demand.
	inUpgrades part = "upgrades"
	// inObservability: two sovereign clusters, on demand.
	inObservability part = "observability"
	// inThreeClusters: three clusters of one mesh, on demand.
	inThreeClusters part = "three-clusters"
)

// atATime are how many tests, and rows of tables, run at a time of those that are parallel: they wait more than they compute.
func (p part) atATime() int {
	if p == inTraffic { // its rows share applications
		return 16
	}
	return 5
}

// partOf the test of that name.
func partOf(test string) part {
	switch test {
	case "TestMulticluster":
		return inMixed
	case "TestWhenNothingChangesNothingIsWritten":
		return whileQuiet
	case "TestTheModuleIsInstalledAndRemovedAsThePageSays":
		return inInstallation
	case "TestSoakOfUpgrades":
		return inUpgrades
	case "TestThreeClusters":
		return inThreeClusters
	}
	if strings.HasPrefix(test, "TestSoak") {
		return inSoak
	}
	if strings.HasPrefix(test, "TestTraffic") {
		return inTraffic
	}
	if strings.HasPrefix(test, "TestObserved") {
		return inObservability
	}
	return inFederation
}

// recipe of a lab.
type recipe struct {
	mode     string
	clusters int
	// nodes of each cluster.
	nodes int
	flags []string
}

// withoutModule is the flag of a lab in which nobody installs the module.
const withoutModule = "--without-module"

// Modes of labs.
const (
	federationMode   = "federation"
	multiclusterMode = "multicluster"
	mixedMode        = "mixed"
)

var (
	federationLab = recipe{mode: federationMode, clusters: 2, nodes: 1}
	soakLab       = recipe{mode: federationMode, clusters: 2, nodes: 2}
	bareLab       = recipe{mode: federationMode, clusters: 2, nodes: 1, flags: []string{withoutModule}}
	// Its nodes can pull the module's other builds, too.
	upgradesLab = recipe{mode: federationMode, clusters: 2, nodes: 1, flags: []string{withoutModule, "--bundle"}}
	// Pod ranges are routed, so that Pods of one mesh can be reached by gateways and without.
	mixedLab = recipe{mode: mixedMode, clusters: 3, nodes: 1, flags: []string{"--network", "flat"}}
	// Pod ranges are not routed: gateways are the only road.
	threeLab = recipe{mode: multiclusterMode, clusters: 3, nodes: 1, flags: []string{"--network", "separate"}}
)

// runOutside starts the labs that the chosen tests need, and runs the tests in
// their fabrics.
func runOutside() (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("nodes of the lab are Linux namespaces, which need root: run the tests with sudo or in a privileged container" +
			" (`make test-unit` runs without)")
	}
	if *moduleName != names.Embedded && !*bundled {
		return 1, fmt.Errorf("-module %s: only a bundle has another name than %s: add -bundle (`make test-e2e BUNDLE=1 MODULE=%s`)", *moduleName, names.Embedded, *moduleName)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	all, err := listTests(ctx)
	if err != nil {
		return 1, err
	}
	run := &runner{ctx: ctx, all: all, chosen: choose(all)}
	if len(run.chosen) == 0 {
		fmt.Println("testing: warning: no tests to run")
	}
	switch {
	case *soak:
		run.inLab(stay{of: soakLab, parts: []part{inSoak}, output: os.Stdout})
		run.inLab(stay{of: upgradesLab, parts: []part{inUpgrades}, output: os.Stdout})
	case *observability:
		run.inLab(stay{of: federationLab, parts: []part{inObservability}, output: os.Stdout})
	case *threeClusters:
		run.inLab(stay{of: threeLab, parts: []part{inThreeClusters}, output: os.Stdout})
	default:
		run.federationAndMesh()
	}
	if err := errors.Join(run.err, ctx.Err()); err != nil {
		return 1, err
	}
	return 0, nil
}

// runner of the suite's parts.
type runner struct {
	ctx    context.Context
	all    []string
	chosen map[part]bool

	mu  sync.Mutex
	err error
}

func (r *runner) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// sideBySide needs some 8 GiB of memory for the labs, and takes two thirds of the time.
var sideBySide = flag.Bool("side-by-side", false, "run two labs at a time")

// stay in a lab.
type stay struct {
	of recipe
	// parts that run one after the other; those of which no test was chosen are left out.
	parts []part
	// output of the tests.
	output io.Writer
	// up is called when the lab is up, or will not be, and idle when what remains of it waits only; nil: nobody cares.
	up, idle func()
}

// federationAndMesh runs the parts one after the other, or in two labs at a time: their tests
// wait more than they compute. Of the second road the output comes in one piece for each part.
func (r *runner) federationAndMesh() {
	first := stay{of: federationLab, parts: []part{inFederation, inTraffic, whileQuiet}, output: os.Stdout}
	others := []stay{{of: mixedLab, parts: []part{inMixed}}, {of: bareLab, parts: []part{inInstallation}}}
	// A person's lab is one, and cannot be in use twice. Installation needs one without the module.
	if os.Getenv(stateDirVariable) != "" {
		r.inLab(first)
		for _, next := range others {
			if next.output = os.Stdout; next.of.mode == mixedMode || len(r.chosen) == 1 {
				r.inLab(next)
			}
		}
		return
	}
	begin := make(chan struct{})
	first.idle = func() { close(begin) }
	if *sideBySide { // two that start would only be in each other's way
		first.up, first.idle = first.idle, nil
		first.parts = []part{inFederation, whileQuiet}
		others = slices.Insert(others, 1, stay{of: federationLab, parts: []part{inTraffic}})
	}
	var both sync.WaitGroup
	both.Go(func() { r.inLab(first) })
	<-begin
	for _, next := range others {
		var output bytes.Buffer
		if next.output = os.Stdout; *sideBySide {
			next.output = &output
		}
		r.inLab(next)
		_, _ = os.Stdout.Write(output.Bytes())
	}
	both.Wait()
}

// inLab starts the lab when it is needed, runs the tests and stops it.
func (r *runner) inLab(in stay) {
	up, idle := onceFor(in.up), onceFor(in.idle)
	defer idle()
	defer up()
	parts := slices.DeleteFunc(in.parts, func(p part) bool { return !r.chosen[p] })
	if len(parts) == 0 || r.ctx.Err() != nil {
		return
	}
	opened, err := r.openLab(in.of)
	up()
	if err != nil {
		r.fail(err)
		return
	}
	failed := false
	for _, which := range parts {
		if which == whileQuiet {
			idle()
		}
		err := r.tests(opened, which, in.output)
		failed = failed || err != nil
		r.fail(err)
	}
	r.fail(opened.Stop(failed))
}

// onceFor is the function, which runs once however often it is called; nil does nothing.
func onceFor(f func()) func() {
	if f == nil {
		return func() {}
	}
	return sync.OnceFunc(f)
}

// tests of a part, in the lab's fabric, by this very program.
func (r *runner) tests(in *labtest.Lab, of part, output io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{self}
	for _, arg := range os.Args[1:] {
		if !strings.HasPrefix(arg, "-test.testlogfile") { // go test would take it for this process' own
			args = append(args, arg)
		}
	}
	args = append(args, "-test.skip="+r.skipping(of))
	args = append(args, "-test.parallel="+strconv.Itoa(of.atATime()))
	command := in.Exec(r.ctx, args...)
	command.Env = append(os.Environ(), stateDirVariable+"="+in.StateDir)
	command.Stdout, command.Stderr = output, output
	if err := command.Run(); err != nil {
		return fmt.Errorf("the tests of part %s: %w", of, err)
	}
	return nil
}

// skipping is the flag that leaves out the tests of other parts, besides those that a person leaves out.
func (r *runner) skipping(of part) string {
	var others []string
	for _, test := range r.all {
		if partOf(test) != of {
			others = append(others, test)
		}
	}
	skip := "^(" + strings.Join(others, "|") + ")$"
	if persons := flag.Lookup("test.skip").Value.String(); persons != "" {
		skip = persons + "|" + skip
	}
	return skip
}

// listTests are the names of all tests.
func listTests(ctx context.Context) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "-test.list=.*")
	command.Env = append(os.Environ(), listingVariable+"=1")
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	var all []string
	for _, line := range strings.Fields(string(output)) {
		if strings.HasPrefix(line, "Test") {
			all = append(all, line)
		}
	}
	return all, nil
}

// choose the parts that -run and -skip leave tests of.
func choose(all []string) map[part]bool {
	run, skip := flag.Lookup("test.run").Value.String(), flag.Lookup("test.skip").Value.String()
	chosen := map[part]bool{}
	for _, test := range all {
		if (run == "" || matches(run, test, false)) && (skip == "" || !matches(skip, test, true)) {
			chosen[partOf(test)] = true
		}
	}
	return chosen
}

// matches reports whether one of a pattern's alternatives matches the test, as
// go test reads them: its first element the name, further ones subtests. whole
// leaves out alternatives that are for subtests only.
func matches(pattern, test string, whole bool) bool {
	for _, alternative := range splitPattern(pattern, '|') {
		elements := splitPattern(alternative, '/')
		expression, err := regexp.Compile(elements[0])
		if (err != nil || expression.MatchString(test)) && (!whole || len(elements) <= 1) {
			return true
		}
	}
	return false
}

// splitPattern at a separator that is in no brackets.
func splitPattern(pattern string, separator rune) (parts []string) {
	depth, begun := 0, 0
	for i, r := range pattern {
		switch {
		case strings.ContainsRune("([", r):
			depth++
		case strings.ContainsRune(")]", r):
			depth--
		case r == separator && depth == 0:
			parts = append(parts, pattern[begun:i])
			begun = i + 1
		}
	}
	return append(parts, pattern[begun:])
}

// bundled runs the labs' module from the folder that Deckhouse unpacks.
var bundled = flag.Bool("bundle", false, "start labs with --bundle: the module's hooks are processes, as in Deckhouse (`make bundle`)")

// moduleName is that of the module in the labs that run a bundle.
var moduleName = flag.String("module", names.Embedded, "with -bundle: name of the module in the labs (`make bundle MODULE=`)")

// openLab takes the lab that a person named when it fits, else it starts one.
func (r *runner) openLab(wanted recipe) (*labtest.Lab, error) {
	of := labtest.Recipe{
		Root: filepath.Join("..", ".."), Mode: wanted.mode, Clusters: wanted.clusters, Nodes: wanted.nodes, Flags: wanted.flags, Output: os.Stderr,
	}
	if named := os.Getenv(stateDirVariable); named != "" {
		described, err := readLab(named)
		if err != nil {
			return nil, err
		}
		if described.Mode == wanted.mode && len(described.Clusters) >= wanted.clusters {
			return labtest.Use(named, of)
		}
	}
	if *bundled && !slices.Contains(wanted.flags, withoutModule) {
		of.Flags = append(slices.Clone(of.Flags), "--bundle", "--module", *moduleName)
	}
	return labtest.Start(r.ctx, "istio-e2e-"+wanted.mode+"-", of)
}
