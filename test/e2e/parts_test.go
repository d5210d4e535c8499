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
	"strconv"
	"strings"
	"syscall"
)

// listingVariable has the program list its tests and nothing else.
const listingVariable = "ISTIO_E2E_LISTING"

// part of the suite: tests that share a lab.
type part string

const (
	// inFederation: two sovereign clusters.
	inFederation part = "federation"
	// whileQuiet follows inFederation in the same lab, while other labs work.
	whileQuiet part = "quiet"
	// inTraffic follows inFederation in the same lab: applications that its tests share.
	inTraffic part = "traffic"
	// inMixed: two clusters of one mesh, and a third that is federated with the first.
	inMixed part = "mixed"
	// inSoak: two sovereign clusters with two gateways each, on demand.
	inSoak part = "soak"
	// inObservability: two sovereign clusters, on demand.
	inObservability part = "observability"
)

// trafficRows are how many rows of traffic's tables run at a time: they wait more than they compute.
const trafficRows = "16"

// partOf the test of that name.
func partOf(test string) part {
	switch test {
	case "TestMulticluster":
		return inMixed
	case "TestWhenNothingChangesNothingIsWritten":
		return whileQuiet
	case "TestSoak":
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

// Modes of labs.
const (
	federationMode = "federation"
	mixedMode      = "mixed"
)

var (
	federationLab = recipe{mode: federationMode, clusters: 2, nodes: 1}
	soakLab       = recipe{mode: federationMode, clusters: 2, nodes: 2}
	// Pod ranges are routed, so that Pods of one mesh can be reached by gateways and without.
	mixedLab = recipe{mode: mixedMode, clusters: 3, nodes: 1, flags: []string{"--network", "flat"}}
)

// runOutside starts the labs that the chosen tests need, one after the other,
// and runs the tests in their fabrics.
func runOutside() (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("nodes of the lab are Linux namespaces, which need root: run the tests with sudo or in a privileged container" +
			" (`make test-unit` runs without)")
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
		run.alone(soakLab, inSoak)
	case *observability:
		run.alone(federationLab, inObservability)
	default:
		run.federationAndMesh()
	}
	if run.failed || ctx.Err() != nil {
		return 1, errors.Join(run.err, ctx.Err())
	}
	return 0, nil
}

// runner of the suite's parts.
type runner struct {
	ctx    context.Context
	all    []string
	chosen map[part]bool
	failed bool
	err    error
}

func (r *runner) needs(p part) bool { return r.chosen[p] }

func (r *runner) fail(err error) {
	if err != nil {
		r.failed = true
		r.err = errors.Join(r.err, err)
	}
}

// federationAndMesh runs the parts in labs that the runner starts. The tests
// that only watch a quiet lab do so beside those of the other lab.
func (r *runner) federationAndMesh() {
	quietDone := func() {}
	if r.needs(inFederation) || r.needs(inTraffic) || r.needs(whileQuiet) {
		first, err := openLab(federationLab)
		r.fail(err)
		if err == nil {
			defer func() { r.fail(first.close(r.failed)) }()
			if r.needs(inFederation) {
				r.fail(r.tests(first, inFederation, os.Stdout))
			}
			if r.needs(inTraffic) {
				r.fail(r.tests(first, inTraffic, os.Stdout))
			}
			if r.needs(whileQuiet) {
				quietDone = r.beside(first)
			}
		}
	}
	if r.needs(inMixed) && r.ctx.Err() == nil {
		second, err := openLab(mixedLab)
		r.fail(err)
		if err == nil {
			r.fail(r.tests(second, inMixed, os.Stdout))
			r.fail(second.close(r.failed))
		}
	}
	quietDone()
}

// alone runs a part in a lab of its own.
func (r *runner) alone(of recipe, which part) {
	opened, err := openLab(of)
	r.fail(err)
	if err == nil {
		r.fail(r.tests(opened, which, os.Stdout))
		r.fail(opened.close(r.failed))
	}
}

// beside starts the part that only watches, and returns what waits for its end.
func (r *runner) beside(in *openedLab) (wait func()) {
	var output bytes.Buffer
	result := make(chan error, 1)
	go func() { result <- r.tests(in, whileQuiet, &output) }()
	return func() {
		r.fail(<-result)
		_, _ = os.Stdout.Write(output.Bytes())
	}
}

// tests of a part, in the lab's fabric, by this very program.
func (r *runner) tests(in *openedLab, of part, output io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"exec", "--state-dir", in.stateDir, "--", self}
	for _, arg := range os.Args[1:] {
		if !strings.HasPrefix(arg, "-test.testlogfile") { // go test would take it for this process' own
			args = append(args, arg)
		}
	}
	args = append(args, "-test.skip="+r.skipping(of))
	if of == inTraffic {
		args = append(args, "-test.parallel="+trafficRows)
	}
	command := exec.CommandContext(r.ctx, labProgram(), args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Env = append(os.Environ(), stateDirVariable+"="+in.stateDir)
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

// openedLab is a lab that tests run in.
type openedLab struct {
	stateDir string
	// own is whether it was started here.
	own bool
}

// bundled runs the labs' module from the folder that Deckhouse unpacks.
var bundled = flag.Bool("bundle", false, "start labs with --bundle: the module's hooks are processes, as in Deckhouse (`make bundle`)")

// openLab takes the lab that a person named when it fits, else it starts one.
func openLab(wanted recipe) (*openedLab, error) {
	if named := os.Getenv(stateDirVariable); named != "" {
		described, err := readLab(named)
		if err != nil {
			return nil, err
		}
		if described.Mode == wanted.mode && len(described.Clusters) >= wanted.clusters {
			absolute, err := filepath.Abs(named)
			return &openedLab{stateDir: absolute}, err
		}
	}
	stateDir, err := os.MkdirTemp("", "istio-e2e-"+wanted.mode+"-")
	if err != nil {
		return nil, err
	}
	args := []string{"up", "--clusters", strconv.Itoa(wanted.clusters), "--nodes", strconv.Itoa(wanted.nodes), "--mode", wanted.mode, "--state-dir", stateDir, "--detach"}
	if *bundled {
		args = append(args, "--bundle")
	}
	if err := lab(append(args, wanted.flags...)...); err != nil {
		return nil, errors.Join(fmt.Errorf("start a lab of mode %s, whose logs are in %s: %w", wanted.mode, stateDir, err),
			lab("down", "--state-dir", stateDir))
	}
	return &openedLab{stateDir: stateDir, own: true}, nil
}

// close the lab, and report what is left of it. Its logs stay on demand.
func (l *openedLab) close(keepLogs bool) error {
	if !l.own {
		return nil
	}
	if err := lab("down", "--state-dir", l.stateDir); err != nil {
		return err
	}
	if keepLogs {
		fmt.Fprintln(os.Stderr, "e2e: the lab's logs are retained in", l.stateDir)
		return nil
	}
	return os.RemoveAll(l.stateDir)
}
