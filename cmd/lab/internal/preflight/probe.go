package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// probeName is what the process is called that tries what nodes do; see Main.
	probeName = "lab-probe"
	// probeTimeout of all trials together. They take a tenth of a second, and on a machine that labs and builds load many.
	probeTimeout = 2 * time.Minute
)

// probe tries in a process of its own, with namespaces of its own, what nodes
// and the fabric do later. Nothing of it stays.
func probe(ctx context.Context, stateDir string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	dir, err := os.MkdirTemp(stateDir, "probe-")
	if err != nil {
		return []Finding{{Problem: err.Error(), Cure: "name a folder that can be written with --state-dir"}}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", dir)
	cmd.Args[0] = probeName
	var output, errorText bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &errorText
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP,
	}
	if err := cmd.Run(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return []Finding{{
				Problem: fmt.Sprintf("trying what nodes do has not ended within %s", probeTimeout),
				Cure:    "end what else loads the machine",
			}}
		}
		return []Finding{{
			Problem: fmt.Sprintf("namespaces cannot be made: %v %s", err, strings.TrimSpace(errorText.String())),
			Cure:    rightsCure + confinement(),
		}}
	}
	var findings []Finding
	if err := json.Unmarshal(output.Bytes(), &findings); err != nil {
		return []Finding{{Problem: fmt.Sprintf("what nodes do cannot be tried: %v", err)}}
	}
	return findings
}

// confinement names the profile of AppArmor that this process is bound by, if it is.
func confinement() string {
	content, err := os.ReadFile("/proc/self/attr/apparmor/current")
	if err != nil {
		if content, err = os.ReadFile("/proc/self/attr/current"); err != nil {
			return ""
		}
	}
	profile := strings.TrimRight(string(content), "\x00\n ")
	if profile == "" || profile == "unconfined" || !strings.Contains(profile, "(") {
		return ""
	}
	return fmt.Sprintf("; this process is bound by AppArmor's profile %s: start the container with --security-opt apparmor=unconfined", profile)
}

// Main is the process that tries. It returns false, and does nothing, when the
// program was not called by its name.
func Main(args []string) bool {
	if filepath.Base(args[0]) != probeName {
		return false
	}
	findings := []Finding{}
	for _, trial := range trials(args[1]) {
		if err := trial.run(); err != nil {
			trial.finding.Problem += ": " + err.Error()
			findings = append(findings, trial.finding)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(findings); err != nil {
		os.Exit(1)
	}
	return true
}

type trial struct {
	finding Finding
	run     func() error
}

func trials(dir string) []trial {
	return []trial{
		{Finding{Problem: "mounts cannot be made", Cure: rightsCure + confinement()}, tryMounts},
		{Finding{
			Problem: "no overlay file system on " + filepath.Dir(dir),
			Cure:    "load the kernel module (modprobe overlay); in a container, name a folder on a volume with --state-dir: an overlay cannot lie on an overlay",
		}, func() error { return tryOverlay(dir) }},
		{Finding{Problem: "no bridges or veth pairs", Cure: "load the kernel modules: modprobe -a bridge veth"}, tryLinks},
		{Finding{
			Problem: "nftables lacks what Services need",
			Cure:    "a kernel of version 5.13 or newer with its modules loaded (modprobe -a nf_tables nft_chain_nat nft_masq nft_ct nft_numgen nft_reject_inet), and nft 1.0.1 or newer",
		}, tryRules},
	}
}

func tryMounts() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	return nil
}

// tryOverlay as containerd makes it for containers, below the state dir, and as nodes have it on /etc.
func tryOverlay(dir string) error {
	for _, mount := range []struct{ lower, upper, target string }{{dir + "/lower", dir, dir + "/merged"}, {"/etc", "/run/etc", "/etc"}} {
		for _, needed := range []string{mount.lower, mount.upper + "/upper", mount.upper + "/work", mount.target} {
			if err := os.MkdirAll(needed, 0o755); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", mount.lower, mount.upper, mount.upper)
		if err := syscall.Mount("overlay", mount.target, "overlay", 0, options); err != nil {
			return fmt.Errorf("%s: %w", mount.target, err)
		}
	}
	return nil
}

func tryLinks() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lab-bridge"}}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lab-veth"}, PeerName: "lab-peer"}
	return errors.Join(netlink.LinkAdd(bridge), netlink.LinkAdd(veth))
}

// rules with what kube-proxy, the CNI plugins and the lab itself put into theirs.
const rules = `table ip lab-probe {
	map services {
		type ipv4_addr . inet_proto . inet_service : verdict
	}
	chain end {
		numgen random mod 2 vmap { 0 : accept, 1 : accept }
	}
	chain prerouting {
		type nat hook prerouting priority dstnat
		ip daddr . meta l4proto . th dport vmap @services
		tcp dport 1 dnat to 10.0.0.1:2
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ct state new fib daddr type local masquerade fully-random
	}
	chain forward {
		type filter hook forward priority filter
		tcp dport 1 reject
		jump end
	}
}
`

func tryRules() error {
	nft, err := lookUp("nft")
	if err != nil {
		return nil //nolint:nilerr // that it is missing has been found before
	}
	cmd := exec.Command(nft, "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}
